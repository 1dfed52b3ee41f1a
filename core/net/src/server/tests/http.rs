//! Requests as probes, proxies and browsers send them: HEAD, queries, and lists that are spread over several lines.

use super::*;

/// What the server answers to a request, up to the end of the head, and everything behind it.
async fn ask(server: &Server, trust: &Trust, tls: bool, request: &str) -> (String, Vec<u8>) {
    let stream = TcpStream::connect(server.local_addr()).await.expect("it listens");
    let mut stream: Box<dyn Duplex> = match tls {
        true => Box::new(connect(trust, "127.0.0.1", stream).await.expect("it is trusted").0),
        false => Box::new(stream),
    };
    let request = format!("{request}\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    stream.flush().await.expect("it reads");
    let mut answer = Vec::new();
    // An upgraded connection ends because no join follows.
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it ends").expect("it is open");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let behind = answer.split_off(end);
    (String::from_utf8(answer).expect("text"), behind)
}

#[tokio::test]
async fn health_checks_take_head_and_queries_on_every_setting() {
    for (tls, workers) in SETTINGS {
        let (server, trust, _folder) = server(tls, workers);
        for path in ["/healthz", "/healthz?from=probe&x=%20", "/shared/host/healthz?x"] {
            for (method, expected) in [("GET", &b"ok\n"[..]), ("HEAD", b"")] {
                let request = format!("{method} {path} HTTP/1.1");
                let (head, body) = ask(&server, &trust, tls, &request).await;
                assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{tls} {request}: {head}");
                assert!(head.contains("Content-Length: 3\r\n"), "{tls} {request}: {head}");
                assert_eq!(body, expected, "{tls} {request}");
            }
        }
        let (head, body) = ask(&server, &trust, tls, "HEAD /?x HTTP/1.1").await;
        assert!(head.starts_with("HTTP/1.1 426 ") && body.is_empty(), "{tls}: {head}");
    }
}

#[tokio::test]
async fn lists_may_be_spread_over_lines_and_paths_may_have_queries_on_every_setting() {
    let once = "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Protocol: other, teatime.v1";
    let spread = "Connection: keep-alive\r\nSec-WebSocket-Protocol: other\r\n\
                  Connection: Upgrade\r\nSec-WebSocket-Protocol: teatime.v1";
    for (tls, workers) in SETTINGS {
        let (server, trust, _folder) = server(tls, workers);
        for (path, lists) in [("/", once), ("/", spread), ("/a/path?x=1", spread)] {
            let request = format!(
                "GET {path} HTTP/1.1\r\nUpgrade: websocket\r\n{lists}\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
            );
            let (head, frames) = ask(&server, &trust, tls, &request).await;
            assert!(head.starts_with("HTTP/1.1 101 "), "{tls} {path}: {head}");
            assert!(head.contains("\r\nSec-WebSocket-Protocol: teatime.v1\r\n"), "{tls}: {head}");
            // RFC 6455, section 1.3.
            assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{tls}: {head}");
            // The hello, in one short frame without a mask.
            let [0x82, length @ 0..126, hello @ ..] = &frames[..] else { panic!("{frames:?}") };
            let hello = ServerMessage::decode(&hello[..usize::from(*length)]);
            let Ok(ServerMessage::Hello(greeting)) = hello else { panic!("{hello:?}") };
            assert_eq!(greeting.binds_channel, tls);
        }
    }
}
