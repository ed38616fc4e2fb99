//! The names of a family's tensors, and how parameters lie in them.

use crate::wiring::tensors::{Half, Needed, Slot};
use crate::{Architecture, Layout};

/// The names of one stack.
pub(crate) struct Names {
    /// What stands before the stack's canonical names: nothing, `encoder.` or `decoder.`.
    pub(super) canonical: &'static str,
    /// What stands before a layer's number.
    pub(super) layers: &'static str,
    /// Modules, in parts that families share.
    pub(super) modules: &'static [&'static [Module]],
    /// Where a layer's modules are, if not behind its number.
    pub(super) place: Option<fn(&Architecture, usize) -> String>,
}

/// A module: what it is for, its name, and how its tensors hold it. Of several for one purpose the
/// first that is in a file counts.
pub(crate) struct Module(pub(super) Slot, pub(super) &'static str, pub(super) Stored);

/// How a module's tensors hold its numbers.
#[derive(Clone, Copy)]
pub(crate) enum Stored {
    /// `name.weight` `[out, in]` or `[width]`, and `name.bias`. A norm may say gamma and beta.
    Whole,
    /// The same, but the weight is `[in, out]`.
    Turned,
    /// Part `.0` of `.1` equal ones, one behind the other.
    Part(usize, usize),
    /// The same, but the weight is `[in, out]`.
    TurnedPart(usize, usize),
    /// Part `.0` of the `.1` that each head has: rows `[H, .1, d]`.
    ByHead(usize, usize),
    /// Rows of all queries, then all keys, then all values.
    Behind(Projected),
    /// Rows by key and value head: its queries, its key, its value.
    ByGroup(Projected),
    /// The tensor has the name itself, no ending.
    Bare,
    /// A turned matrix an expert: the weight, called by the name itself, is `[experts, in, out]`,
    /// the bias `name_bias` `[experts, out]`.
    Experts,
    /// The same, but every second output from `.0` on.
    EverySecond(usize),
    /// As `Whole`, but the name has no prefix: it belongs to the head and not to the stacks.
    Head,
    /// As `Bare`, without prefix, as a row `[1, width]`.
    RowHead,
}

/// What attention projects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Projected {
    Queries,
    Keys,
    Values,
}

/// A parameter, and where a file may hold it.
pub(crate) struct Expected {
    /// This crate's name.
    pub(crate) canonical: String,
    pub(crate) slot: Slot,
    /// Its shape, in the order of this crate's parameters.
    pub(crate) shape: Vec<usize>,
    /// Tensors of the file that may hold it, the usual one first.
    pub(crate) spellings: Vec<Spelling>,
    /// Whether the file may lack it.
    pub(crate) optional: bool,
}

/// A tensor of the file that may hold a parameter.
#[derive(Clone, Debug)]
pub(crate) struct Spelling {
    /// Its name, behind the prefix if it is one of the stacks'.
    pub(crate) name: String,
    /// Whether a prefix may stand before it.
    pub(crate) prefixed: bool,
    /// Its shape.
    pub(crate) stored: Vec<usize>,
    pub(crate) layout: Layout,
}

impl Stored {
    /// Whether a prefix may stand before the name.
    const fn is_prefixed(self) -> bool {
        !matches!(self, Self::Head | Self::RowHead)
    }

    /// What the tensor's name may end with.
    fn endings(self, needed: &Needed) -> &'static [&'static str] {
        let is_norm = matches!(
            needed.slot,
            Slot::EmbeddingNorm | Slot::FinalNorm | Slot::Norm(..)
        );
        match (self, needed.half) {
            (Self::Bare | Self::RowHead, _) => &[""],
            (Self::Experts | Self::EverySecond(_), Half::Weight) => &[""],
            (Self::Experts | Self::EverySecond(_), Half::Bias) => &["_bias"],
            (_, Half::Weight) if is_norm => &[".weight", ".gamma"],
            (_, Half::Bias) if is_norm => &[".bias", ".beta"],
            (_, Half::Weight) => &[".weight"],
            (_, Half::Bias) => &[".bias"],
        }
    }

    /// How the parameter lies in the tensor, and how many rows that has.
    fn layout(self, needed: &Needed) -> (Layout, usize) {
        let rows = needed.shape[0];
        let [heads, groups, width] = needed.heads.unwrap_or([1, 1, rows]);
        // Sizes that a hostile configuration made up fit no file either way.
        let times = usize::saturating_mul;
        let [matrix, _] = needed.expert.unwrap_or_default();
        let all = times(heads.saturating_add(times(2, groups)), width);
        match self {
            Self::Whole | Self::Bare | Self::Head | Self::RowHead => (Layout::WHOLE, rows),
            Self::Turned => (Layout::TURNED, rows),
            Self::Experts => (Layout::TURNED.of_matrix(matrix), rows),
            Self::EverySecond(part) => {
                let layout = Layout::runs(part, 1, 2).turned().of_matrix(matrix);
                (layout, times(2, rows))
            }
            Self::Part(part, parts) => (Layout::from(times(part, rows)), times(parts, rows)),
            Self::TurnedPart(part, parts) => {
                let layout = Layout::from(times(part, rows)).turned();
                (layout, times(parts, rows))
            }
            Self::ByHead(part, parts) => {
                let layout = Layout::runs(times(part, width), width, times(parts, width));
                (layout, times(times(heads, width), parts))
            }
            Self::Behind(projected) => {
                let first = match projected {
                    Projected::Queries => 0,
                    Projected::Keys => heads,
                    Projected::Values => heads.saturating_add(groups),
                };
                (Layout::from(times(first, width)), all)
            }
            Self::ByGroup(projected) => {
                let each = heads / groups.max(1);
                let (first, run) = match projected {
                    Projected::Queries => (0, each),
                    Projected::Keys => (each, 1),
                    Projected::Values => (each.saturating_add(1), 1),
                };
                let step = times(each.saturating_add(2), width);
                (
                    Layout::runs(times(first, width), times(run, width), step),
                    all,
                )
            }
        }
    }

    /// The shape of the tensor, which has so many rows.
    fn shape(self, needed: &Needed, layout: Layout, rows: usize) -> Vec<usize> {
        let mut stored = needed.shape.clone();
        stored[0] = rows;
        if layout.turned {
            stored.reverse();
        }
        if let (Self::Experts | Self::EverySecond(_), Some([_, experts])) = (self, needed.expert) {
            stored.insert(0, experts);
        }
        stored
    }
}

impl Names {
    /// Every parameter of the stack, embeddings first, and where it may be; lazily.
    pub(super) fn expected<'a>(
        &'a self,
        architecture: &'a Architecture,
    ) -> impl Iterator<Item = Expected> + 'a {
        architecture
            .needed()
            .map(move |needed| self.of(needed, architecture))
    }

    fn of(&self, needed: Needed, architecture: &Architecture) -> Expected {
        let place = match (needed.layer, self.place) {
            (None, _) => String::new(),
            (Some(layer), None) => format!("{}{layer}.", self.layers),
            (Some(layer), Some(place)) => place(architecture, layer),
        };
        let modules = self.modules.iter().copied().flatten();
        let own = modules.filter(|module| module.0 == needed.slot);
        let mut shape = needed.shape.clone();
        let mut spellings = Vec::new();
        for &Module(_, name, stored) in own {
            if matches!(stored, Stored::RowHead) {
                shape = vec![1, needed.shape[0]];
            }
            let (layout, rows) = stored.layout(&needed);
            let name = match needed.expert {
                Some([expert, _]) => name.replace('#', &expert.to_string()),
                None => name.to_owned(),
            };
            for end in stored.endings(&needed) {
                spellings.push(Spelling {
                    name: format!("{place}{name}{end}"),
                    prefixed: stored.is_prefixed(),
                    stored: match stored {
                        Stored::RowHead => shape.clone(),
                        _ => stored.shape(&needed, layout, rows),
                    },
                    layout,
                });
            }
        }
        Expected {
            canonical: match needed.slot {
                // A model has one head, whichever stack it is behind.
                Slot::Head | Slot::HeadBias | Slot::HeadDense | Slot::HeadNorm => needed.canonical,
                _ => format!("{}{}", self.canonical, needed.canonical),
            },
            slot: needed.slot,
            shape,
            spellings,
            optional: needed.optional,
        }
    }

    /// The names of the word embeddings behind the prefix.
    pub(super) fn words(&self) -> impl Iterator<Item = String> {
        let modules = self.modules.iter().copied().flatten();
        modules
            .filter(|module| module.0 == Slot::Word)
            .map(|Module(_, name, _)| format!("{name}.weight"))
    }
}
