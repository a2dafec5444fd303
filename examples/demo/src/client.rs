//! A user of the notes service: a token, and requests to one host or another.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};
use tenancy::UserId;

/// A user with a token that says who it is, and nothing about tenants.
pub(crate) struct Client {
    http: reqwest::Client,
    ports: Vec<u16>,
    token: String,
    /// Host and status of each answer.
    answers: Mutex<Vec<(String, u16)>>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The problem's type; empty if the body is no problem.
    pub(crate) fn problem(&self) -> &str {
        self.body
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

impl Client {
    /// For a service whose processes listen on these ports.
    pub(crate) fn new(ports: &[u16], user: UserId, secret: &str) -> anyhow::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = json!({
            "iss": "https://login.example.com", "aud": "notes", "sub": user, "exp": now + 12 * 3600,
        });
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)?;
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .no_proxy()
            .build()?;
        let ports = ports.to_vec();
        Ok(Self {
            http,
            ports,
            token,
            answers: Mutex::default(),
        })
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// How many answers came from a host, but for those of this status.
    pub(crate) fn answers(&self, of_host: &str, but: u16) -> usize {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = |(host, status): &&(String, u16)| host == of_host && *status != but;
        answers.iter().filter(counted).count()
    }

    pub(crate) async fn get(&self, host: &str, path: &str) -> anyhow::Result<Answer> {
        self.send(0, Method::GET, host, path, None).await
    }

    pub(crate) async fn post(&self, host: &str, path: &str, body: Value) -> anyhow::Result<Answer> {
        self.post_to(0, host, path, body).await
    }

    /// Asks a process by its number. After the last one comes the first again.
    pub(crate) async fn post_to(
        &self,
        process: usize,
        host: &str,
        path: &str,
        body: Value,
    ) -> anyhow::Result<Answer> {
        self.send(process, Method::POST, host, path, Some(body))
            .await
    }

    async fn send(
        &self,
        process: usize,
        method: Method,
        host: &str,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Answer> {
        let port = self.ports.get(process % self.ports.len());
        let port = port.context("the service has no process")?;
        let mut request = self
            .http
            .request(method, format!("http://127.0.0.1:{port}{path}"))
            .header("host", host)
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.push((host.to_owned(), status));
        drop(answers);
        Ok(Answer {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
        })
    }
}
