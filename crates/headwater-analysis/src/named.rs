/// An enum whose values are known by name: the enum, `ALL` in the order given,
/// the name of each, `Display`, and `FromStr` with `$unknown` for other names.
/// A new value is one row here and nothing else.
macro_rules! named {
    (
        $(#[$attribute:meta])*
        pub enum $enum:ident, $name:ident, $unknown:ident {
            $($(#[$doc:meta])* $variant:ident = $text:literal,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $enum {
            $($(#[$doc])* $variant,)*
        }

        impl $enum {
            /// Every one of them, in order.
            pub const ALL: [$enum; [$($text),*].len()] = [$($enum::$variant),*];

            /// The name in files and options.
            pub fn $name(self) -> &'static str {
                match self {
                    $($enum::$variant => $text,)*
                }
            }
        }

        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.$name())
            }
        }

        impl std::str::FromStr for $enum {
            type Err = crate::Error;

            fn from_str(name: &str) -> Result<Self, crate::Error> {
                let known = || $enum::ALL.map(|known| known.$name()).join(", ");
                $enum::ALL
                    .into_iter()
                    .find(|known| known.$name() == name)
                    .ok_or_else(|| crate::Error::$unknown {
                        name: name.to_owned(),
                        known: known(),
                    })
            }
        }
    };
}

pub(crate) use named;
