//! When results leave the device.
//!
//! A GPU works through a queue while the program goes on, and to read a tensor is
//! to wait for all of the queue: results stay on the device and leave it together
//! when a stack of layers has been run. The processor has no queue: there each
//! result leaves as soon as it is made, so that nothing is held.

use burn::tensor::{DType, Tensor, TensorData, Transaction};

use crate::layer_arrays::Split;
use crate::transformer::DeviceName;
use crate::{Array, Error};

/// Bytes of results that may wait on a GPU; with more, those that wait leave it
/// in the middle of a run.
const WAITING_ON_GPU: usize = 1 << 30;

/// Bytes of results that may wait on a device.
pub(crate) fn waiting_bytes(device: DeviceName) -> usize {
    if device.is_cpu() { 0 } else { WAITING_ON_GPU }
}

/// What becomes of the arrays of one [`ReadBack::send`].
type Delivery =
    Box<dyn FnOnce(&mut dyn Iterator<Item = Array>, &mut Split<'_>) -> Result<(), Error>>;

/// Results on their way from the device to a sink, in the order they were made.
pub(crate) struct ReadBack<'a, 'b> {
    split: &'a mut Split<'b>,
    /// Bytes that may wait.
    allowed: usize,
    bytes: usize,
    tensors: Transaction,
    deliveries: Vec<Delivery>,
}

impl<'a, 'b> ReadBack<'a, 'b> {
    /// With 0 bytes allowed to wait, each result leaves at once.
    pub(crate) fn new(split: &'a mut Split<'b>, allowed: usize) -> Self {
        Self {
            split,
            allowed,
            bytes: 0,
            tensors: Transaction::default(),
            deliveries: Vec::new(),
        }
    }

    /// Takes tensors; `deliver` gets them as arrays when they have left the device.
    pub(crate) fn send<const D: usize, const N: usize>(
        &mut self,
        tensors: [Tensor<D>; N],
        deliver: impl FnOnce([Array; N], &mut Split<'_>) -> Result<(), Error> + 'static,
    ) -> Result<(), Error> {
        for tensor in tensors {
            self.bytes += tensor.dims().iter().product::<usize>() * tensor.dtype().size();
            self.tensors = std::mem::take(&mut self.tensors).register(tensor);
        }
        self.deliveries.push(Box::new(move |arrays, split| {
            let mut next = || arrays.next().expect("an array for every tensor");
            deliver(std::array::from_fn(|_| next()), split)
        }));
        if self.bytes > self.allowed {
            self.read()?;
        }
        Ok(())
    }

    /// Delivers what still waits.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        self.read()
    }

    /// The one place where the program waits for the device.
    fn read(&mut self) -> Result<(), Error> {
        if self.deliveries.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let mut arrays = std::mem::take(&mut self.tensors)
            .execute()
            .into_iter()
            .map(array);
        for deliver in self.deliveries.drain(..) {
            deliver(&mut arrays, self.split)?;
        }
        Ok(())
    }
}

fn array(data: TensorData) -> Array {
    let shape = data.shape().to_vec();
    // The element type was set when the parameters were loaded, and every
    // operation keeps it.
    match data.dtype() {
        DType::F64 => Array::from_f64(shape, data.try_into_vec().expect("float64 data")),
        _ => Array::from_f32(shape, data.try_into_vec().expect("float32 data")),
    }
}
