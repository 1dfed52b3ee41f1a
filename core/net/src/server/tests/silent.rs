//! Sockets that say nothing keep no other client out.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::TcpStream as BlockingStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::*;

/// Twice as many as there are slots.
const SILENT: usize = 2_000;

/// How long a newcomer may take to join.
const BOUND: Duration = Duration::from_secs(1);

/// How many tries twenty newcomers may need, because a busy machine may be slower than the silent sockets are renewed.
const MOST_TRIES: u32 = 60;

/// Keeps this many silent connections open, and opens another for each that the server closes.
fn hold_silent(address: SocketAddr, byte: u8, stop: &AtomicBool, opened: &AtomicU64) {
    let mut all = VecDeque::new();
    while !stop.load(Ordering::Relaxed) {
        while all.len() < SILENT {
            let Ok(mut stream) = BlockingStream::connect(address) else { return };
            std::io::Write::write_all(&mut stream, &[byte]).expect("it is open");
            stream.set_nonblocking(true).expect("it can be set");
            all.push_back(stream);
            opened.fetch_add(1, Ordering::Relaxed);
        }
        all.retain_mut(|stream| match stream.read(&mut [0]) {
            Err(error) => error.kind() == ErrorKind::WouldBlock,
            Ok(_) => false,
        });
        std::thread::yield_now();
    }
}

async fn wait_for(opened: &AtomicU64, number: u64) {
    while opened.load(Ordering::Relaxed) < number {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn join_once(server: &Server, trust: &Trust, view: u8) -> bool {
    let opened = open(&Dialer::of_system(), &server.url(), trust, SESSION).await;
    let Ok((mut socket, channel)) = opened else { return false };
    let Ok(Some(Ok(Message::Binary(hello)))) = timeout(PATIENCE, socket.next()).await else {
        return false;
    };
    let join = joins(1, [view; 32], &challenge_of(&hello, channel)).encode();
    socket.send(Message::Binary(join.into())).await.is_ok()
        && matches!(timeout(PATIENCE, socket.next()).await, Ok(Some(Ok(Message::Binary(_)))))
}

/// As a client does: it tries again at once. Returns how long it took, and how often it tried.
async fn join(server: &Server, trust: &Trust, view: u8) -> (Duration, u32) {
    let (started, mut tries) = (Instant::now(), 1);
    while !join_once(server, trust, view).await {
        assert!(started.elapsed() < PATIENCE, "no client gets in");
        tries += 1;
    }
    (started.elapsed(), tries)
}

#[tokio::test]
async fn a_newcomer_joins_within_a_second_beside_thousands_of_silent_sockets() {
    for tls in [false, true] {
        let (server, trust, _folder) = server_with(tls, ServerConfig::default());
        let (stop, opened) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (address, byte) = (server.local_addr(), if tls { 0x16 } else { b'G' });
        let (stopped, counter) = (stop.clone(), opened.clone());
        let silent = std::thread::spawn(move || hold_silent(address, byte, &stopped, &counter));
        wait_for(&opened, 2 * SILENT as u64).await;
        let (started, before) = (Instant::now(), opened.load(Ordering::Relaxed));
        let mut times = Vec::new();
        for view in 0..20 {
            wait_for(&opened, before + 100 * u64::from(view)).await;
            times.push(join(&server, &trust, view).await);
        }
        let renewed = (opened.load(Ordering::Relaxed) - before) as f64;
        times.sort_unstable();
        let ((median, _), (most, _)) = (times[10], times[19]);
        let tries: u32 = times.iter().map(|(_, tries)| tries).sum();
        let rate = renewed / started.elapsed().as_secs_f64();
        println!(
            "tls {tls}: 20 joins with {tries} tries take {median:?}, at most {most:?}, beside {rate:.0} renewed sockets/s"
        );
        assert!(median <= BOUND && tries <= MOST_TRIES, "tls {tls}: {times:?}");
        stop.store(true, Ordering::Relaxed);
        silent.join().expect("it does not panic");
    }
}

#[tokio::test]
async fn a_connection_whose_first_bytes_do_not_come_in_two_seconds_ends() {
    for tls in [false, true] {
        let (server, _, _folder) = server_with(tls, ServerConfig::default());
        let started = Instant::now();
        let mut stream = TcpStream::connect(server.local_addr()).await.expect("it listens");
        stream.write_all(&[if tls { 0x16 } else { b'G' }]).await.expect("it reads");
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it ends").expect("TCP");
        let took = started.elapsed();
        assert!(took > Duration::from_millis(1_900) && took < Duration::from_secs(6), "{took:?}");
    }
}

#[tokio::test]
async fn one_address_cannot_take_the_slots_of_others() {
    let config = ServerConfig {
        limit_loopback: true,
        max_handshakes_per_address: 3,
        ..ServerConfig::default()
    };
    let (server, trust, _folder) = server_with(false, config);
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(server.local_addr()).await.expect("it listens"));
    }
    // The first makes room for the fourth, and not at its limit of time.
    let mut byte = [0];
    let ended = timeout(Duration::from_millis(1_500), silent[0].read(&mut byte))
        .await
        .expect("it ends at once");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    assert!(timeout(Duration::from_millis(100), silent[1].read(&mut [0])).await.is_err());
    join(&server, &trust, 1).await;
}

#[tokio::test]
async fn the_operator_gets_an_answer_beside_thousands_of_silent_sockets() {
    let admin = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let (server, _, _folder) = server_with(false, ServerConfig { admin, ..Default::default() });
    let admin = server.admin_addr().expect("it was asked for");
    assert_ne!(admin, server.local_addr());
    let _silent: Vec<_> = (0..SILENT)
        .flat_map(|_| [server.local_addr(), admin])
        .map(|address| BlockingStream::connect(address).expect("the system accepts it"))
        .collect();
    let started = Instant::now();
    for (target, expected) in [("/healthz", "200 OK"), ("/else", "404 Not Found")] {
        let mut stream = TcpStream::connect(admin).await.expect("it listens");
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{answer}");
    }
    assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
}
