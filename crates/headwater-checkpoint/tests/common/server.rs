//! As much of a model hub as a download sees: ranges, etags, commits, a redirect to the storage.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// The commit that every revision points to.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Names and contents of a model's files.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A way to go wrong.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// Every request is answered with this status.
    Status(u16),
    /// The connection ends in the middle of this file.
    CutOff(&'static str),
    /// The same, but the length was not announced, so the client cannot tell.
    CutOffSilently(&'static str),
    /// Downloads start at the first byte, whatever was asked for.
    AlwaysWhole,
}

/// What a client asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    /// The first byte of the range, for downloads; lookups ask for one byte only.
    pub(crate) first_byte: Option<usize>,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    fault: Option<Fault>,
    stopped: bool,
}

/// A hub with one model, until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

/// The etag of a file, which names it in the cache.
pub(crate) fn etag(file: &str) -> String {
    file.bytes().map(|byte| format!("{byte:02x}")).collect()
}

impl Server {
    pub(crate) fn start(model: &str, files: Files) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, model) = (state.clone(), model.to_owned());
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.lock().unwrap().stopped {
                    return;
                }
                // A client may hang up at any time.
                let _ = answer(stream.unwrap(), address, &model, &files, &shared);
            }
        });
        Self {
            address,
            state,
            thread: Some(thread),
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.state.lock().unwrap().fault = fault;
    }

    /// The requests since the last call.
    pub(crate) fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.lock().unwrap().stopped = true;
        // The thread waits for a connection; this is the last one.
        drop(TcpStream::connect(self.address));
        self.thread.take().map(JoinHandle::join);
    }
}

fn answer(
    mut stream: TcpStream,
    address: SocketAddr,
    model: &str,
    files: &Files,
    state: &Mutex<State>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut range, mut authorization) = (None, None);
    for line in lines {
        let line = line?;
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("range") => {
                range = Some(value.to_owned())
            }
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                authorization = Some(value.to_owned());
            }
            Some(_) => (),
            None => break,
        }
    }
    let range = range.unwrap_or_default();
    let (start, end) = range
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
        .unwrap_or(("0", ""));
    let start: usize = start.parse().unwrap();
    let fault = {
        let mut state = state.lock().unwrap();
        let first_byte = end.is_empty().then_some(start);
        state.requests.push(Request {
            path: path.clone(),
            authorization,
            first_byte,
        });
        state.fault
    };
    if let Some(Fault::Status(status)) = fault {
        return write!(
            stream,
            "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }

    // Revisions hold no plain slash, so the last part is the file.
    let file = path.rsplit('/').next().unwrap_or_default();
    let on_hub = path.strip_prefix(&format!("/{model}/resolve/")).is_some();
    let Some(bytes) = files
        .get(file)
        .filter(|_| on_hub || path.starts_with("/storage/"))
    else {
        return write!(
            stream,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    };
    let common = format!("x-repo-commit: {COMMIT}\r\nConnection: close\r\n");
    // Large files lie elsewhere, and there under another etag.
    if on_hub && file.ends_with(".safetensors") {
        let etag = etag(file);
        return write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: http://{address}/storage/{file}\r\n\
             x-linked-etag: \"{etag}\"\r\netag: \"other\"\r\nContent-Length: 0\r\n{common}\r\n"
        );
    }

    let total = bytes.len();
    if start >= total {
        return write!(
            stream,
            "HTTP/1.1 416 No\r\nContent-Length: 0\r\n{common}\r\n"
        );
    }
    let start = if fault == Some(Fault::AlwaysWhole) {
        0
    } else {
        start
    };
    let last = end.parse().unwrap_or(total - 1);
    let body = &bytes[start..=last];
    let (silent, sent) = match fault {
        Some(Fault::CutOff(cut)) if cut == file && end.is_empty() => {
            (false, &body[..body.len() / 2])
        }
        Some(Fault::CutOffSilently(cut)) if cut == file && end.is_empty() => {
            (true, &body[..body.len() / 2])
        }
        _ => (false, body),
    };
    let length = if silent {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    let etag = etag(file);
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{last}/{total}\r\n{length}\
         etag: \"{etag}\"\r\n{common}\r\n"
    )?;
    stream.write_all(sent)
}
