//! Slopes of activations: integrated gradients along a straight path, closed.
//!
//! On the path t ↦ t·p the integral of g′ is (g(p) − g(0))/p, whatever g is.
//! Every activation here is 0 at 0, and all but tanh have the form x·s(x): the
//! slope is s(p) itself, with no division and nothing to lose at p = 0.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use burn::tensor::{DType, Tensor, activation};
use headwater_kernels::{self as kernels, Curve, Packed};
use headwater_transformer::{
    Activation, BLOOM_ROOT, Host, PreActivation, apply_activation, curve, sigmoid,
};

/// The slopes of a feed-forward block.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // A layer has one.
pub(crate) enum Slopes {
    /// Of a block without a gate.
    Plain(Slope),
    /// a and c, behind the gate and behind what it is multiplied by.
    Gated([GatedSlope; 2]),
}

/// One of the slopes of a gated block, as a tensor and packed, each made when it
/// is first needed.
#[derive(Debug)]
pub(crate) struct GatedSlope {
    /// `[batch, target, d_ff]`.
    tensor: OnceLock<Tensor<3>>,
    /// A row a target of all of the batch, and the shape of the tensor.
    packed: OnceLock<Packed>,
    host: Option<(Host, [usize; 3])>,
}

impl From<Tensor<3>> for GatedSlope {
    fn from(slopes: Tensor<3>) -> Self {
        Self {
            tensor: OnceLock::from(slopes),
            packed: OnceLock::new(),
            host: None,
        }
    }
}

impl GatedSlope {
    pub(crate) fn tensor(&self) -> Tensor<3> {
        let unpack = || {
            let (host, shape) = self.host.expect("it is packed if it is no tensor");
            let packed = self.packed.get().expect("it is packed if it is no tensor");
            host.tensor(packed.unpack(), shape)
        };
        self.tensor.get_or_init(unpack).clone()
    }

    pub(crate) fn packed(&self, host: Host) -> &Packed {
        self.packed.get_or_init(|| pack(host, &self.tensor()))
    }
}

impl Slopes {
    /// Behind each of the maps into the block.
    pub(crate) fn tensors(&self) -> Vec<Tensor<3>> {
        match self {
            Slopes::Plain(slope) => vec![slope.tensor()],
            Slopes::Gated(slopes) => slopes.iter().map(GatedSlope::tensor).collect(),
        }
    }

    /// Of a gated block on the CPU, with the bias as a player.
    pub(crate) fn of_gate(host: Host, curve: Curve, ends: [&PreActivation; 2]) -> Self {
        let [u, v] = ends.map(|end| match end.packed_rows() {
            Some(rows) => Arc::clone(rows),
            None => Arc::new(pack(host, &end.tensor())),
        });
        let shape = ends[0].dims();
        let (a, c) = kernels::gated_slopes(&u, &v, curve);
        let slope = |packed: Packed| GatedSlope {
            tensor: OnceLock::new(),
            packed: OnceLock::from(packed),
            host: Some((host, shape)),
        };
        Slopes::Gated([slope(a), slope(c)])
    }

    /// Packed, behind each of the maps into the block.
    pub(crate) fn packed(&self, host: Host) -> Vec<&Packed> {
        match self {
            Slopes::Plain(slope) => vec![slope.packed(host)],
            Slopes::Gated(slopes) => slopes.iter().map(|slope| slope.packed(host)).collect(),
        }
    }

    /// The same for each member of the batch by itself.
    pub(crate) fn by_member(
        &self,
        host: Host,
        [batch, targets]: [usize; 2],
    ) -> Vec<Vec<Cow<'_, Packed>>> {
        let slopes = self.packed(host);
        let of_member = |member: usize| {
            let rows: Vec<usize> = (member * targets..(member + 1) * targets).collect();
            let slopes = slopes.iter();
            slopes
                .map(|slopes| Cow::Owned(slopes.pick_rows(&rows)))
                .collect()
        };
        match batch {
            1 => vec![slopes.into_iter().map(Cow::Borrowed).collect()],
            _ => (0..batch).map(of_member).collect(),
        }
    }
}

/// The slopes of every target, made when they are first needed.
#[derive(Debug)]
pub(crate) struct Slope {
    activation: Activation,
    /// What the activation is applied to.
    p: PreActivation,
    /// The slopes, where they are not those from 0.
    known: Option<Tensor<3>>,
    before: OnceLock<Arc<Packed>>,
    packed: OnceLock<Packed>,
}

impl Slope {
    /// The slopes at p: those from 0, or those that are `known`.
    pub(crate) fn new(activation: Activation, p: PreActivation, known: Option<Tensor<3>>) -> Self {
        Self {
            activation,
            p,
            known,
            before: OnceLock::new(),
            packed: OnceLock::new(),
        }
    }

    /// `[batch, target, d_ff]`.
    pub(crate) fn tensor(&self) -> Tensor<3> {
        match &self.known {
            Some(slopes) => slopes.clone(),
            None => slope(self.activation, self.p.tensor()),
        }
    }

    /// p, packed as the results of a product of all targets are.
    pub(crate) fn pre_activation(&self, host: Host) -> &Packed {
        self.before.get_or_init(|| match self.p.packed_rows() {
            Some(rows) => Arc::clone(rows),
            None => Arc::new(pack(host, &self.p.tensor())),
        })
    }

    /// The slopes, packed likewise.
    pub(crate) fn packed(&self, host: Host) -> &Packed {
        self.packed.get_or_init(|| match self.curve() {
            Some(curve) => self.pre_activation(host).gates(curve),
            None => pack(host, &self.tensor()),
        })
    }

    /// The activation's curve, where slopes are taken from p by it.
    fn curve(&self) -> Option<Curve> {
        match self.known {
            Some(_) => None,
            None => curve(self.activation),
        }
    }
}

fn pack(host: Host, rows: &Tensor<3>) -> Packed {
    let [_, _, d_ff] = rows.dims();
    Packed::new(host.cpu(), host.contiguous(rows).slice(), d_ff)
}

/// The mean of g′ between 0 and p: `(g(p) − g(0)) / p`, and its limit g′(0) at
/// 0. For relu, which has no derivative there, 0.
///
/// Finite for every finite p.
///
/// # Shapes
/// Any; the result has the same.
///
/// # Source
/// Integrated gradients (Sundararajan et al. 2017) as Kobayashi et al. 2024
/// use them; closed form.
pub fn slope<const D: usize>(kind: Activation, p: Tensor<D>) -> Tensor<D> {
    match kind {
        Activation::Gelu => normal_distribution(p),
        Activation::GeluTanh => TanhGate::at(p, tanh_root()).value,
        Activation::BloomGelu => TanhGate::at(p, BLOOM_ROOT).value,
        Activation::QuickGelu => sigmoid(p * QUICK_GELU),
        Activation::Silu => sigmoid(p),
        Activation::Relu => step(p),
        Activation::Tanh => {
            // tanh(p)/p by its series where p is small; the next term is 62/2835 p⁸.
            let square = p.clone().square();
            let series = ((square.clone() * (-17.0 / 315.0) + 2.0 / 15.0) * square.clone()
                - 1.0 / 3.0)
                * square
                + 1.0;
            let small = p.clone().abs().lower_elem(0.02);
            let denominator = p.clone().mask_fill(small.clone(), 1.0);
            (activation::tanh(p) / denominator).mask_where(small, series)
        }
    }
}

/// The mean of g′ between β and p: `(g(p) − g(β)) / (p − β)`, and its limit
/// g′(p) where the two meet.
///
/// Near the limit the quotient is replaced by g′(m) + g‴(m) (p − β)²/24 with m
/// the midpoint.
///
/// # Shapes
/// Both alike; the result has the same.
pub fn secant<const D: usize>(kind: Activation, p: Tensor<D>, beta: Tensor<D>) -> Tensor<D> {
    let difference = p.clone() - beta.clone();
    let near = match kind {
        // Piecewise linear: the quotient is exact up to the point itself.
        Activation::Relu => difference.clone().equal_elem(0.0),
        // Where the quotient's rounding error, ε·g/|p − β|, meets the series' own.
        _ => difference.clone().abs().lower_elem(match p.dtype() {
            DType::F64 => 2e-3,
            _ => 5e-2,
        }),
    };
    let middle = (p.clone() + beta.clone()) / 2.0;
    let (first, third) = derivatives(kind, middle);
    let limit = first + third * difference.clone().square() / 24.0;
    let rise = apply_activation(kind, p) - apply_activation(kind, beta);
    let quotient = rise / difference.mask_fill(near.clone(), 1.0);
    quotient.mask_where(near, limit)
}

/// g′ and g‴.
pub(crate) fn derivatives<const D: usize>(
    kind: Activation,
    x: Tensor<D>,
) -> (Tensor<D>, Tensor<D>) {
    // For g = x·s(x): g′ = s + x s′ and g‴ = 3 s″ + x s‴.
    let gated =
        |x: Tensor<D>, [s, s1, s2, s3]: [Tensor<D>; 4]| (s + x.clone() * s1, s2 * 3.0 + x * s3);
    match kind {
        Activation::Gelu => {
            let density = (x.clone().square() / -2.0).exp() * (0.5 / std::f64::consts::PI).sqrt();
            let cubic = x.clone() * (x.clone().square() - 4.0);
            let first = normal_distribution(x.clone()) + x * density.clone();
            (first, density * cubic)
        }
        Activation::GeluTanh | Activation::BloomGelu => {
            let root = match kind {
                Activation::BloomGelu => BLOOM_ROOT,
                _ => tanh_root(),
            };
            let gate = TanhGate::at(x.clone(), root);
            gated(x, [gate.value, gate.first, gate.second, gate.third])
        }
        Activation::QuickGelu => gated(x.clone(), logistic(x, QUICK_GELU)),
        Activation::Silu => gated(x.clone(), logistic(x, 1.0)),
        Activation::Relu => (step(x.clone()), x * 0.0),
        Activation::Tanh => {
            let square = activation::tanh(x).square();
            let first = square.clone() * -1.0 + 1.0;
            (first.clone(), first * (square * 6.0 - 2.0))
        }
    }
}

pub(crate) const QUICK_GELU: f64 = 1.702;

/// Φ(x), the normal distribution function.
pub(crate) fn normal_distribution<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    ((x * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0) / 2.0
}

/// 1 where x > 0, else 0.
pub(crate) fn step<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let positive = x.clone().greater_elem(0.0);
    x.zeros_like().mask_fill(positive, 1.0)
}

/// σ(c·x) and its first three derivatives in x.
fn logistic<const D: usize>(x: Tensor<D>, c: f64) -> [Tensor<D>; 4] {
    let s = sigmoid(x * c);
    let s1 = s.clone() * (s.clone() * -1.0 + 1.0);
    let s2 = s1.clone() * (s.clone() * -2.0 + 1.0);
    let s3 = s1.clone() * ((s.clone() - 1.0) * s.clone() * 6.0 + 1.0);
    [s, s1 * c, s2 * (c * c), s3 * (c * c * c)]
}

/// √(2/π).
fn tanh_root() -> f64 {
    (2.0 / std::f64::consts::PI).sqrt()
}

/// s(x) = (1 + tanh u)/2 with u = √(2/π)(x + 0.044715 x³), and its derivatives.
struct TanhGate<const D: usize> {
    value: Tensor<D>,
    first: Tensor<D>,
    second: Tensor<D>,
    third: Tensor<D>,
}

impl<const D: usize> TanhGate<D> {
    /// `k`: √(2/π), or what stands for it.
    fn at(x: Tensor<D>, k: f64) -> Self {
        const CUBIC: f64 = 0.044_715;
        let square = x.clone().square();
        let u = x.clone() * (square.clone() * CUBIC + 1.0) * k;
        let u1 = (square * (3.0 * CUBIC) + 1.0) * k;
        let u2 = x * (6.0 * CUBIC * k);
        let u3 = 6.0 * CUBIC * k;
        let t = activation::tanh(u);
        // Half of tanh′, tanh″ and tanh‴ at u.
        let t1 = (t.clone().square() * -1.0 + 1.0) / 2.0;
        let t2 = t1.clone() * t.clone() * -2.0;
        let t3 = t1.clone() * (t.clone().square() * 6.0 - 2.0);
        Self {
            value: (t + 1.0) / 2.0,
            first: t1.clone() * u1.clone(),
            second: t2.clone() * u1.clone().square() + t1.clone() * u2.clone(),
            third: t3 * u1.clone().powi_scalar(3) + t2 * u1 * u2 * 3.0 + t1 * u3,
        }
    }
}
