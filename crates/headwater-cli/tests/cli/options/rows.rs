//! Command lines that differ in one option.

/// Two command lines that differ in an option, or in its value.
pub(super) struct Row {
    pub(super) command: String,
    pub(super) option: String,
    /// Both lines without what they differ in; an underscore is a space in a word.
    pub(super) common: String,
    /// What only the first line has, which succeeds.
    pub(super) first: String,
    /// What only the second line has.
    pub(super) second: String,
}

fn row(command: &str, option: &str, common: &str, first: &str, second: &str) -> Row {
    Row {
        command: command.to_owned(),
        option: option.to_owned(),
        common: common.to_owned(),
        first: first.to_owned(),
        second: second.to_owned(),
    }
}

/// What a model and a text are given by, for commands that also read analyses.
fn of_a_model(command: &str, rest: &str) -> Vec<Row> {
    let row = |option: &str, common: &str, first: &str, second: &str| {
        row(command, option, &format!("{rest} {common}"), first, second)
    };
    let stack = match command.starts_with("plot") {
        true => "--stack encoder",
        false => "",
    };
    let decoder = match command.starts_with("plot") {
        true => "--stack decoder",
        false => "",
    };
    vec![
        row(
            "--model",
            "--input-ids 5,6,7",
            "--model BERT",
            "--model GPT2",
        ),
        row(
            "--revision",
            "--model owner/bert --input-ids 5,6,7",
            "",
            "--revision other",
        ),
        row(
            "--dtype",
            "--model HUGE-BERT --input-ids 5,6,7",
            "--dtype f64",
            "",
        ),
        row("--text", "--model BERT", "--text the", "--text The_dog."),
        row(
            "--text-pair",
            "--model BERT --text the",
            "",
            "--text-pair dog",
        ),
        row(
            "--target",
            &format!("--model MARIAN --text wa {decoder}"),
            "",
            "--target the_dog_.",
        ),
        row(
            "--decoder-input-ids",
            &format!("--model MARIAN --text wa {decoder}"),
            "",
            "--decoder-input-ids 343,5,6",
        ),
        row(
            "--input-ids",
            "--model BERT",
            "--input-ids 5,6,7",
            "--input-ids 5,6,8",
        ),
        row(
            "--token-type-ids",
            "--model BERT --input-ids 5,6,7",
            "",
            "--token-type-ids 0,1,1",
        ),
        row(
            "--bias-treatment",
            "--model BERT --text The_girl_sees_the_dog.",
            "",
            "--bias-treatment fixed",
        ),
    ]
    .into_iter()
    .chain(match stack {
        "" => None,
        stack => Some(row(
            "--stack",
            "--model MARIAN --text wa_dijo",
            stack,
            decoder,
        )),
    })
    .collect()
}

fn of_a_picture(command: &str, rest: &str) -> Vec<Row> {
    let common = format!("a.safetensors {rest}");
    let row =
        |option: &str, first: &str, second: &str| row(command, option, &common, first, second);
    vec![
        row("--output", "--output p.svg", "--output p.png"),
        row("--title", "--output p.svg", "--output p.svg --title Mine"),
        row("--width", "--output p.svg", "--output p.svg --width 60"),
        row(
            "--font-size",
            "--output p.svg",
            "--output p.svg --font-size 6",
        ),
        row("--dpi", "--output p.png", "--output p.png --dpi 72"),
    ]
}

/// Every row.
pub(super) fn rows() -> Vec<Row> {
    let align = "--model MARIAN -s s.txt --target t.txt";
    let one = "--layers 3 --measure norm --setting awo";
    let rates = format!("{align} --gold g.txt --format json");
    let analyze = "--model BERT --text The_girl_sees_the_dog.";
    let mut rows = of_a_model("analyze", "--json");
    rows.extend([
        row(
            "analyze",
            "--source-language",
            "--model MBART --text a_b --target b_c --json",
            "--target-language en_XX",
            "--target-language en_XX --source-language de_DE",
        ),
        row(
            "analyze",
            "--target-language",
            "--model MBART --text a_b --target b_c --json",
            "--target-language en_XX",
            "--target-language de_DE",
        ),
        row(
            "analyze",
            "--input",
            "--model BERT --output out",
            "--input a.jsonl",
            "--input b.jsonl",
        ),
        row(
            "analyze",
            "--quantities",
            analyze,
            "--json",
            "--json --quantities norms",
        ),
        row(
            "analyze",
            "--scopes",
            analyze,
            "--json",
            "--json --scopes attn",
        ),
        row(
            "analyze",
            "--layers",
            analyze,
            "--json",
            "--json --layers 0",
        ),
        row(
            "analyze",
            "--hidden-states",
            analyze,
            "--json",
            "--json --hidden-states",
        ),
        row("analyze", "--output", analyze, "", "--output b.safetensors"),
        row(
            "analyze",
            "--store",
            analyze,
            "--output b.safetensors",
            "--output b.safetensors --store f16",
        ),
        row("analyze", "--json", analyze, "", "--json"),
        row(
            "align",
            "--model",
            &format!("-s s.txt --target t.txt {one}"),
            "--model MARIAN",
            "--model CHANGED",
        ),
        row(
            "align",
            "--revision",
            &format!("--model owner/marian -s s.txt --target t.txt {one}"),
            "",
            "--revision other",
        ),
        row(
            "align",
            "--dtype",
            &format!("--model HUGE-MARIAN -s s.txt --target t.txt {one}"),
            "--dtype f64",
            "",
        ),
        row(
            "align",
            "--source-language",
            &format!("--model MBART -s abc.txt --target abc.txt {MBART_ONE}"),
            "--target-language en_XX",
            "--target-language en_XX --source-language de_DE",
        ),
        row(
            "align",
            "--target-language",
            &format!("--model MBART -s abc.txt --target abc.txt {MBART_ONE}"),
            "--target-language en_XX",
            "--target-language de_DE",
        ),
        row(
            "align",
            "--source",
            &format!("--model MARIAN --target t.txt {one}"),
            "-s s.txt",
            "-s s2.txt",
        ),
        row(
            "align",
            "--target",
            &format!("--model MARIAN -s s.txt {one}"),
            "--target t.txt",
            "--target t2.txt",
        ),
        row(
            "align",
            "--input",
            &format!("--model MARIAN {one}"),
            "-s s.txt --target t.txt",
            "--input p.jsonl",
        ),
        row(
            "align",
            "--gold",
            &format!("{align} {one}"),
            "",
            "--gold g.txt",
        ),
        row("align", "--gold-first", &rates, "", "--gold-first 0"),
        row(
            "align",
            "--measure",
            &rates,
            "--measure weights",
            "--measure norm",
        ),
        row(
            "align",
            "--setting",
            &rates,
            "--setting awi",
            "--setting awo",
        ),
        row("align", "--layers", &rates, "", "--layers 0"),
        row("align", "--heads", &rates, "", "--heads 0,1"),
        row(
            "align",
            "--symmetrize",
            &format!("{align} {one}"),
            "",
            "--symmetrize union",
        ),
        row(
            "align",
            "--format",
            &format!("{align} --gold g.txt"),
            "",
            "--format json",
        ),
        row(
            "align",
            "--output",
            &format!("{align} {one}"),
            "",
            "--output links.txt",
        ),
        row(
            "translate",
            "--model",
            "--source s.txt --beams 1",
            "--model MARIAN",
            "--model CHANGED",
        ),
        row(
            "translate",
            "--revision",
            "--model owner/marian --source s.txt --beams 1",
            "",
            "--revision other",
        ),
        row(
            "translate",
            "--dtype",
            "--model HUGE-MARIAN --source s.txt",
            "--dtype f64",
            "",
        ),
        row(
            "translate",
            "--source-language",
            "--model MBART --source abc.txt",
            "--target-language en_XX",
            "--target-language en_XX --source-language de_DE",
        ),
        row(
            "translate",
            "--target-language",
            "--model MBART --source abc.txt",
            "--target-language en_XX",
            "--target-language de_DE",
        ),
        row(
            "translate",
            "--text",
            "--model MARIAN",
            "--source s.txt",
            "--text wa_dijo_.",
        ),
        row(
            "translate",
            "--source",
            "--model MARIAN",
            "--source s.txt",
            "--source s2.txt",
        ),
        row(
            "translate",
            "--beams",
            "--model CHANGED --source s.txt",
            "--beams 1",
            "--beams 5",
        ),
        row(
            "translate",
            "--output",
            "--model MARIAN --source s.txt",
            "",
            "--output out.txt",
        ),
        row(
            "report",
            "--output",
            "a.safetensors",
            "--output p.html",
            "--output q.html",
        ),
        row(
            "report",
            "--title",
            "a.safetensors --output p.html",
            "",
            "--title Mine",
        ),
        row("inspect", "--model", "", "--model BERT", "--model GPT2"),
        row(
            "inspect",
            "--revision",
            "--model owner/bert",
            "",
            "--revision other",
        ),
        row("inspect", "--dtype", "--model BERT", "", "--dtype f64"),
        row("inspect", "--tokens", "--model BERT", "", "--tokens 9"),
        row("inspect", "--tensors", "--model BERT", "", "--tensors"),
        row("inspect", "--json", "--model BERT", "", "--json"),
        row("models", "--json", "", "", "--json"),
    ]);
    rows.extend(of_a_model("report", "--output p.html"));
    let map = "--layer 0 --output p.svg";
    let change = "--from atb --to atb_ff --layer 0 --output p.svg";
    // The last scope of a decoder is one of cross-attention.
    rows.extend(of_a_model("plot map", map));
    rows.extend(of_a_model("plot mixing", "--output p.svg"));
    rows.extend(of_a_model(
        "plot change",
        "--layer 0 --output p.svg --from attn --to atb",
    ));
    rows.retain(|row| !(row.command == "plot change" && needs_other_scopes(&row.option)));
    rows.extend([
        row(
            "plot change",
            "--bias-treatment",
            &format!("{analyze} {change}"),
            "",
            "--bias-treatment fixed",
        ),
        row(
            "plot change",
            "--layer",
            "a.safetensors --from attn --to atb --output p.svg",
            "--layer 0",
            "--layer 1",
        ),
        row(
            "plot change",
            "--from",
            "a.safetensors --layer 0 --to atb --output p.svg",
            "--from attn",
            "--from attn_res",
        ),
        row(
            "plot change",
            "--to",
            "a.safetensors --layer 0 --from attn --output p.svg",
            "--to atb",
            "--to attn_res",
        ),
        row(
            "plot change",
            "--shares",
            &format!("a.safetensors {change}"),
            "",
            "--shares",
        ),
        row(
            "plot change",
            "--without-diagonal",
            &format!("a.safetensors {change}"),
            "",
            "--without-diagonal",
        ),
        row(
            "plot mixing",
            "--measure",
            "a.safetensors --output p.svg",
            "--measure attn",
            "--measure attn_w",
        ),
        row(
            "plot map",
            "--layer",
            "a.safetensors --output p.svg",
            "--layer 0",
            "--layer 1",
        ),
        row(
            "plot map",
            "--quantity",
            &format!("a.safetensors {map}"),
            "",
            "--quantity attention_weights",
        ),
        row(
            "plot map",
            "--scope",
            &format!("a.safetensors {map}"),
            "",
            "--scope attn",
        ),
        row(
            "plot map",
            "--head",
            &format!("a.safetensors {map} --quantity attention_weights"),
            "",
            "--head 1",
        ),
        row(
            "plot map",
            "--shares",
            &format!("a.safetensors {map}"),
            "",
            "--shares",
        ),
        row(
            "plot map",
            "--without-diagonal",
            &format!("a.safetensors {map}"),
            "",
            "--without-diagonal",
        ),
    ]);
    rows.extend(of_a_picture("plot map", "--layer 0"));
    rows.extend(of_a_picture("plot mixing", ""));
    rows.extend(of_a_picture(
        "plot change",
        "--layer 0 --from attn --to atb",
    ));
    rows
}

/// One alignment of the small random mBART.
const MBART_ONE: &str =
    "--layers 0-2 --measure norm --setting awo --heads together,0-3 --output links";

/// Up to `atb` no feed-forward block is passed.
fn needs_other_scopes(option: &str) -> bool {
    option == "--bias-treatment"
}
