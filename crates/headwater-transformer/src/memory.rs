//! Where a tensor's numbers lie, if that is this machine's memory.

#[cfg(feature = "flex")]
pub(crate) use flex::Memory;
#[cfg(not(feature = "flex"))]
pub(crate) use nowhere::Memory;

#[cfg(feature = "flex")]
mod flex {
    use burn::backend::Flex;
    use burn::backend::flex::FlexTensor;
    use burn::tensor::{Tensor, TensorData};

    /// The memory of a tensor on the device `flex`.
    #[derive(Debug, Clone)]
    pub(crate) struct Memory(FlexTensor);

    impl Memory {
        pub(crate) fn of<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
            tensor.clone().try_into_primitive::<Flex>().ok().map(Self)
        }

        /// From one entry to the next along each axis; none where it is backwards.
        pub(crate) fn strides(&self) -> Vec<Option<usize>> {
            let strides = self.0.layout().strides().iter();
            strides.map(|&stride| stride.try_into().ok()).collect()
        }

        /// The same numbers in order.
        pub(crate) fn ordered(self) -> Self {
            Self(self.0.to_contiguous())
        }

        /// From the first number of the tensor to the end of the memory.
        pub(crate) fn numbers(&self) -> &[f32] {
            &self.0.storage()[self.0.layout().start_offset()..]
        }

        pub(crate) fn tensor<const D: usize>(data: TensorData) -> Tensor<D> {
            Tensor::from_primitive::<Flex>(FlexTensor::from_data(data))
        }
    }
}

#[cfg(not(feature = "flex"))]
mod nowhere {
    use burn::tensor::{Tensor, TensorData};

    /// Without the device `flex` no tensor's memory can be looked at: there
    /// never is one of these.
    #[derive(Debug, Clone)]
    pub(crate) struct Memory;

    impl Memory {
        pub(crate) fn of<const D: usize>(_: &Tensor<D>) -> Option<Self> {
            None
        }

        pub(crate) fn strides(&self) -> Vec<Option<usize>> {
            Vec::new()
        }

        pub(crate) fn ordered(self) -> Self {
            self
        }

        pub(crate) fn numbers(&self) -> &[f32] {
            &[]
        }

        pub(crate) fn tensor<const D: usize>(data: TensorData) -> Tensor<D> {
            unreachable!("there is no host for {:?}", data.shape())
        }
    }
}
