//! Which request goes where.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ETAG, HeaderName, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body::Body;
use hyper::service::Service;
use matchit::Router;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use wellspring::{Hub, HubOptions, TopicName, check_host, check_subscribe, query};
use wellspring_front::{Application, Connection, Ended, RequestBody, Scheme};

use crate::answer::{self, Answer, AnswerBody};
use crate::call::{self, Call};
use crate::client::TrustError;
use crate::config::Config;
use crate::dialect::{self, DIALECTS, Dialect, Door, NATIVE, push};
use crate::ingest::collect;
use crate::ledger::Ledger;
use crate::pages;
use crate::playground::Cuts;
use crate::problem::Problem;
use crate::run::Presence;
use crate::runs::Runs;
use crate::stream;
use crate::topics;
use crate::upstream::Upstreams;

/// The program behind its listeners: one for all cores.
#[derive(Debug)]
pub(crate) struct Program {
    hub: Hub,
    runs: Runs,
    upstreams: Upstreams,
    cuts: Cuts,
    routes: Router<Route>,
    config: Config,
    ports: Ports,
    draining: AtomicBool,
}

/// Where each scheme is served. The lab's page, which came over one of them, shows the way to the other.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Ports {
    http: Option<u16>,
    https: Option<u16>,
}

/// The program as one connection sees it.
#[derive(Debug)]
pub(crate) struct Visit {
    program: Arc<Program>,
    ledger: Arc<Ledger>,
}

#[derive(Debug, Clone)]
enum Route {
    Cut,
    /// Of one path, the doors of a dialect, by method.
    Doors(Vec<Spoken>),
    Health,
    Ports,
    Ready,
    RunEvents,
    Topic,
    Topics,
}

/// A door, and the dialect that is spoken there.
type Spoken = (&'static dyn Dialect, &'static Door);

/// What is served where. Anything else may be a page.
const ROUTES: [(&str, Route); 7] = [
    ("/topics", Route::Topics),
    ("/topics/{*topic}", Route::Topic),
    ("/v1/runs/{run}/events", Route::RunEvents),
    ("/playground/cuts/{token}", Route::Cut),
    ("/lab/ports", Route::Ports),
    ("/healthz", Route::Health),
    ("/readyz", Route::Ready),
];

impl Program {
    /// The longest request at a dialect's door, in bytes: a long chat, with pictures in it.
    const LONGEST_REQUEST: usize = 16 * 1024 * 1024;

    /// # Errors
    ///
    /// When the upstream's certificate authority cannot be read.
    pub(crate) fn new(
        config: Config,
        addresses: &[(Scheme, SocketAddr)],
    ) -> Result<Self, TrustError> {
        let mut routes = Router::new();
        for (path, route) in ROUTES.into_iter().chain(doors()) {
            routes
                .insert(path, route)
                .expect("the routes do not overlap");
        }
        Ok(Self {
            hub: Hub::new(HubOptions::default().with_topic(config.topic.clone())),
            runs: Runs::new(config.run_age, config.run),
            upstreams: Upstreams::new(&config.upstreams)?,
            cuts: Cuts::default(),
            routes,
            config,
            ports: Ports::of(addresses),
            draining: AtomicBool::new(false),
        })
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn runs(&self) -> &Runs {
        &self.runs
    }

    pub(crate) fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    pub(crate) fn cuts(&self) -> &Cuts {
        &self.cuts
    }

    /// The longest silence on a stream.
    pub(crate) fn heartbeat(&self) -> Duration {
        self.config.heartbeat
    }

    /// Forgets what is too old. Call it every few seconds.
    pub(crate) fn sweep(&self) {
        self.hub.sweep();
        self.runs.sweep();
    }

    /// From now on the program is not ready for more.
    pub(crate) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    async fn answer<B: Body<Data = Bytes>>(
        &self,
        ledger: &Arc<Ledger>,
        request: Parts,
        body: B,
    ) -> Answer {
        if let Err(refusal) = check_host(&request) {
            return Problem::from(refusal).into_answer();
        }
        let request = &request;
        let Ok(matched) = self.routes.at(request.uri.path()) else {
            return page(request);
        };
        let params: Result<Vec<String>, _> = matched
            .params
            .iter()
            .map(|(_, part)| Ok(percent_decode_str(part).decode_utf8()?.into_owned()))
            .collect::<Result<_, std::str::Utf8Error>>();
        let Ok(params) = params else {
            return Problem::bad_request("the path is not UTF-8").into_answer();
        };
        // Of each route of our own at most one part of the path varies.
        let part = params.first().map_or("", String::as_str);
        match (matched.value, &request.method) {
            (Route::Doors(doors), _) => self.knock(doors, ledger, request, params, body).await,
            (Route::Topic, &Method::POST) => match TopicName::new(part) {
                Ok(topic) => {
                    topics::publish(&self.hub, topic, self.config.event_bytes, request, body).await
                }
                Err(error) => Problem::bad_request(error.to_string()).into_answer(),
            },
            (Route::Topic, &Method::GET | &Method::HEAD) => match TopicName::new(part) {
                Ok(topic) => self.read_topics(ledger, request, &[topic]),
                Err(error) => Problem::bad_request(error.to_string()).into_answer(),
            },
            (Route::Topic, _) => Problem::method("GET, HEAD, POST").into_answer(),
            (Route::Topics, _) => match topics::named(request) {
                Ok(topics) => self.read_topics(ledger, request, &topics),
                Err(problem) => problem.into_answer(),
            },
            (Route::RunEvents, &Method::POST) => match self.runs.find(part) {
                Some(run) => push::push(&run, self.config.event_bytes, request, body).await,
                None => Problem::no_run().into_answer(),
            },
            (Route::RunEvents, &Method::GET | &Method::HEAD) => {
                self.read_run(ledger, request, part)
            }
            (Route::RunEvents, _) => Problem::method("GET, HEAD, POST").into_answer(),
            (Route::Cut, &Method::POST) => self.cuts.cut(part),
            (Route::Cut, _) => Problem::method("POST").into_answer(),
            (Route::Health, _) => reading(request, || {
                answer::bytes(StatusCode::OK, "text/plain", "ok\n")
            }),
            (Route::Ready, _) => reading(request, || self.ready()),
            (Route::Ports, _) => reading(request, || answer::json(StatusCode::OK, &self.ports)),
        }
    }

    fn read_topics(&self, ledger: &Arc<Ledger>, request: &Parts, topics: &[TopicName]) -> Answer {
        let options = stream::options(request, self.config.heartbeat);
        let limit = match stream::limit(request) {
            Ok(limit) => limit,
            Err(problem) => return problem.into_answer(),
        };
        match topics::read(&self.hub, request, topics, options) {
            Ok(response) => {
                let names = topics
                    .iter()
                    .map(|topic| self.hub.shared_name(topic).into());
                stream::send(request, response, ledger, &self.cuts, names, limit)
            }
            Err(refusal) => Problem::from(refusal).into_answer(),
        }
    }

    fn read_run(&self, ledger: &Arc<Ledger>, request: &Parts, id: &str) -> Answer {
        let Some(run) = self.runs.find(id) else {
            return Problem::no_run().into_answer();
        };
        if let Err(refusal) = check_subscribe(request) {
            return Problem::from(refusal).into_answer();
        }
        let dialect = match query(request, "as") {
            Some(name) => match dialect::named(&name) {
                Some(dialect) => dialect,
                None => {
                    let names: Vec<_> = DIALECTS.iter().map(|dialect| dialect.name()).collect();
                    let names = names.join(", ");
                    return Problem::bad_request(format!("?as= is one of {names}")).into_answer();
                }
            },
            None => NATIVE,
        };
        let from = dialect.from(request);
        let presence = Presence::of(&run);
        call::stream_run(self, ledger, request, &run, presence, dialect, from)
    }

    /// Opens the one of these doors that takes the request's method.
    async fn knock<B: Body<Data = Bytes>>(
        &self,
        doors: &[Spoken],
        ledger: &Arc<Ledger>,
        request: &Parts,
        params: Vec<String>,
        body: B,
    ) -> Answer {
        // What is asked with HEAD is what GET would say.
        let method = match &request.method {
            &Method::HEAD => &Method::GET,
            method => method,
        };
        let Some((dialect, door)) = doors.iter().find(|(_, door)| door.method == *method) else {
            let methods = doors.iter().map(|(_, door)| &door.method);
            return Problem::not_allowed(methods).into_answer();
        };
        let body = match collect(body, Self::LONGEST_REQUEST).await {
            Ok(body) => body.freeze(),
            Err(problem) => return dialect.refuse(problem.status(), problem.detail()),
        };
        let call = Call {
            program: self,
            ledger,
            request,
            params,
            body,
        };
        (door.open)(call).await
    }

    fn ready(&self) -> Answer {
        if self.draining.load(Ordering::Acquire) {
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is draining")
                .into_answer();
        }
        answer::bytes(StatusCode::OK, "text/plain", "ready\n")
    }
}

impl Ports {
    fn of(addresses: &[(Scheme, SocketAddr)]) -> Self {
        let mut ports = Self::default();
        for (scheme, address) in addresses {
            match scheme {
                Scheme::Http => ports.http = Some(address.port()),
                Scheme::Https => ports.https = Some(address.port()),
            }
        }
        ports
    }
}

/// A newtype, because the front end's trait and the counted pointer are both not ours.
#[derive(Debug, Clone)]
pub(crate) struct Served(pub(crate) Arc<Program>);

impl Application for Served {
    type Body = AnswerBody;
    type Service = Visit;

    fn connect(&self, connection: &Arc<Connection>) -> Visit {
        Visit {
            program: Arc::clone(&self.0),
            ledger: Ledger::open(Arc::clone(connection)),
        }
    }

    fn disconnect(&self, _: &Connection, visit: &Visit, end: &Ended) {
        visit.ledger.close(end);
    }
}

impl Service<Request<RequestBody>> for Visit {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn call(&self, request: Request<RequestBody>) -> Self::Future {
        let program = Arc::clone(&self.program);
        let ledger = Arc::clone(&self.ledger);
        let (parts, body) = request.into_parts();
        let is_head = parts.method == Method::HEAD;
        Box::pin(async move {
            let answer = program.answer(&ledger, parts, body).await;
            Ok(if is_head {
                answer::head(answer)
            } else {
                answer
            })
        })
    }
}

/// The doors of all dialects, by path.
fn doors() -> Vec<(&'static str, Route)> {
    let mut routes: Vec<(&'static str, Vec<Spoken>)> = Vec::new();
    for dialect in DIALECTS {
        for door in dialect.doors() {
            let spoken = (*dialect, door);
            match routes.iter_mut().find(|(path, _)| *path == door.path) {
                Some((_, doors)) => doors.push(spoken),
                None => routes.push((door.path, vec![spoken])),
            }
        }
    }
    routes
        .into_iter()
        .map(|(path, doors)| (path, Route::Doors(doors)))
        .collect()
}

/// The route for things that are only read.
fn reading(request: &Parts, answer: impl FnOnce() -> Answer) -> Answer {
    match request.method {
        Method::GET | Method::HEAD => answer(),
        _ => Problem::method("GET, HEAD").into_answer(),
    }
}

fn page(request: &Parts) -> Answer {
    let Some(page) = pages::find(request.uri.path()) else {
        return Problem::not_found("nothing is served here; the README lists the routes")
            .into_answer();
    };
    reading(request, || {
        let known = page
            .etag
            .zip(request.headers.get(IF_NONE_MATCH))
            .is_some_and(|(etag, tags)| {
                let mut tags = tags.as_bytes().windows(etag.len());
                tags.any(|tag| tag == etag.as_bytes())
            });
        let mut answer = if known {
            answer::empty(StatusCode::NOT_MODIFIED)
        } else {
            answer::bytes(StatusCode::OK, page.content_type, page.body)
        };
        let headers = answer.headers_mut();
        if let Some(etag) = page.etag {
            headers.insert(ETAG, HeaderValue::from_static(etag));
        }
        for (name, value) in pages::HEADERS {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        answer
    })
}
