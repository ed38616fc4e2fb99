//! The one place of the workspace where a backend has a name.

use std::fmt;
use std::str::FromStr;

use burn::tensor::{DType, Device};

use crate::{Error, Precision};

/// A device by name; which ones exist is decided by Cargo features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceName {
    /// The CPU through burn-flex (feature `flex`, on by default).
    #[cfg(feature = "flex")]
    Flex,
    /// The CPU through burn-ndarray (feature `ndarray`; deprecated upstream).
    #[cfg(feature = "ndarray")]
    NdArray,
    /// A GPU through wgpu: Vulkan, Metal or DirectX (feature `wgpu`).
    #[cfg(feature = "wgpu")]
    Wgpu,
    /// An NVIDIA GPU through CUDA (feature `cuda`).
    #[cfg(feature = "cuda")]
    Cuda,
}

impl DeviceName {
    /// The devices compiled into this build, best first for a CPU-only machine.
    pub const ENABLED: &'static [DeviceName] = &[
        #[cfg(feature = "flex")]
        DeviceName::Flex,
        #[cfg(feature = "ndarray")]
        DeviceName::NdArray,
        #[cfg(feature = "wgpu")]
        DeviceName::Wgpu,
        #[cfg(feature = "cuda")]
        DeviceName::Cuda,
    ];

    /// The name as it is typed: `flex`, `ndarray`, `wgpu` or `cuda`.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "flex")]
            DeviceName::Flex => "flex",
            #[cfg(feature = "ndarray")]
            DeviceName::NdArray => "ndarray",
            #[cfg(feature = "wgpu")]
            DeviceName::Wgpu => "wgpu",
            #[cfg(feature = "cuda")]
            DeviceName::Cuda => "cuda",
        }
    }

    /// Opens the device.
    pub fn device(self) -> Device {
        match self {
            #[cfg(feature = "flex")]
            DeviceName::Flex => Device::flex(),
            #[cfg(feature = "ndarray")]
            #[allow(deprecated)] // Kept on purpose: users ask for it.
            DeviceName::NdArray => Device::ndarray(),
            #[cfg(feature = "wgpu")]
            DeviceName::Wgpu => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
            #[cfg(feature = "cuda")]
            DeviceName::Cuda => Device::cuda(0),
        }
    }

    /// Whether the device is the processor that runs the program. On others an
    /// operation is queued, and reading a tensor waits for the queue.
    pub fn is_cpu(self) -> bool {
        match self {
            #[cfg(feature = "flex")]
            DeviceName::Flex => true,
            #[cfg(feature = "ndarray")]
            DeviceName::NdArray => true,
            #[cfg(feature = "wgpu")]
            DeviceName::Wgpu => false,
            #[cfg(feature = "cuda")]
            DeviceName::Cuda => false,
        }
    }

    /// Whether the device computes in `precision`; wgpu has no float64.
    pub fn supports(self, precision: Precision) -> bool {
        match precision {
            Precision::F32 => true,
            Precision::F64 => self.name() != "wgpu",
        }
    }

    /// Whether a tensor on the device is the host's memory that it was made of,
    /// without a copy; burn-ndarray would make one at every use.
    pub(crate) fn takes_host_memory(self) -> bool {
        self.name() == "flex"
    }

    /// Refuses a precision that the device lacks.
    pub(crate) fn require(self, precision: Precision) -> Result<(), Error> {
        if self.supports(precision) {
            return Ok(());
        }
        Err(Error::UnsupportedPrecision {
            device: self.to_string(),
            precision: precision.to_string(),
        })
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DeviceName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ENABLED
            .iter()
            .copied()
            .find(|device| device.name() == name)
            .ok_or_else(|| Error::UnknownDevice {
                name: name.to_owned(),
                enabled: Self::ENABLED
                    .iter()
                    .map(|device| device.name())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }
}

/// Burn's element type of a precision.
pub fn dtype(precision: Precision) -> DType {
    match precision {
        Precision::F32 => DType::F32,
        Precision::F64 => DType::F64,
    }
}

/// The precision of an element type; integers have none of their own.
pub(crate) fn precision_of(dtype: DType) -> Precision {
    match dtype {
        DType::F64 => Precision::F64,
        _ => Precision::F32,
    }
}
