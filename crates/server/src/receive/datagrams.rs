//! Datagrams: each is a request of its own to which nothing is answered, so that everything lost has to be counted.
//!
//! A datagram that is read is counted, and then stored or refused with a reason, like any request; what the system dropped before
//! it was read is looked up in `/proc` ([`Drops::read`]). While too many are under way none is read: the system's buffer holds what
//! comes meanwhile. Knows nothing of what datagrams say: that is in the [`Format`].

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use bytes::Bytes;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use wire::Format;

use crate::config::Listen;
use crate::inflate::Encoding;
use crate::intake::{Intake, Received, Refusal};
use crate::listen::{ACCEPT_PAUSE, BindError, COMPLAIN_EVERY, opened_or, stopped};
use crate::metrics::{Metrics, Protocol};

/// Datagrams under way at once: they share one sync of the log.
const DATAGRAMS_AT_ONCE: u32 = 256;
/// The most that a datagram can hold.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// The system's buffer, for what comes while datagrams are being stored. Without the right to more, the system gives less.
const SOCKET_BUFFER_BYTES: usize = 8 << 20;

/// A socket for datagrams, not yet read.
#[derive(Debug)]
pub struct BoundDatagrams {
    /// Its name in settings.
    pub name: &'static str,
    /// Where it listens, with the port the system chose.
    pub address: SocketAddr,
    /// How its datagrams are counted.
    pub protocol: Protocol,
    /// What they are written in.
    pub format: Format,
    socket: UdpSocket,
}

/// Opens a socket for datagrams; `None` when it is off.
pub async fn bind(
    name: &'static str,
    listen: Listen,
    protocol: Protocol,
    format: Format,
) -> Result<Option<BoundDatagrams>, BindError> {
    let Some(address) = listen.address() else { return Ok(None) };
    let opened = UdpSocket::bind(address).await.and_then(|socket| {
        // More than the system allows is a wish; with less, more is dropped in a flood, and counted.
        if set_socket_recv_buffer_size_force(&socket, SOCKET_BUFFER_BYTES).is_err() {
            set_socket_recv_buffer_size(&socket, SOCKET_BUFFER_BYTES)?;
        }
        Ok((socket.local_addr()?, socket))
    });
    let opened = opened_or(name, listen, address, opened)?;
    Ok(opened.map(|(address, socket)| BoundDatagrams { name, address, protocol, format, socket }))
}

/// Reads datagrams until `stop` turns true, then waits for those under way.
pub async fn serve(bound: BoundDatagrams, intake: Arc<Intake>, mut stop: watch::Receiver<bool>) {
    let BoundDatagrams { name, protocol, format, socket, .. } = bound;
    let turns = Arc::new(Semaphore::new(DATAGRAMS_AT_ONCE as usize));
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let mut complained = None;
    loop {
        let turn = turns.clone().acquire_owned().await.expect("nobody closes the turns");
        let read = tokio::select! {
            read = socket.recv_from(&mut buffer) => read,
            () = stopped(&mut stop) => break,
        };
        match read {
            Ok((length, _)) => {
                intake.metrics.datagram(protocol);
                let body = Bytes::copy_from_slice(&buffer[..length]);
                let intake = intake.clone();
                tokio::spawn(async move {
                    take(&intake, protocol, format, body).await;
                    drop(turn);
                });
            }
            Err(error) => {
                if complained.is_none_or(|complained: Instant| complained.elapsed() > COMPLAIN_EVERY) {
                    tracing::warn!(listener = name, %error, "cannot read datagrams");
                    complained = Some(Instant::now());
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(turns.acquire_many(DATAGRAMS_AT_ONCE).await);
}

async fn take(intake: &Intake, protocol: Protocol, format: Format, body: Bytes) {
    let charge = intake.budget.open_with(body.len() as u64).await;
    let received = Received { body, charge, encoding: Encoding::Identity };
    match intake.accept(protocol, format, received).await {
        Ok(report) if report.received_spans > 0 && report.rejected_spans() == report.received_spans => {
            tracing::debug!(
                protocol = protocol.name(),
                problem = report.first_problem,
                "a datagram without a good span"
            );
        }
        Ok(_) => {}
        Err(refusal) => refused(&intake.metrics, protocol, &refusal),
    }
}

fn refused(metrics: &Metrics, protocol: Protocol, refusal: &Refusal) {
    metrics.refused(protocol, refusal.reason());
    tracing::debug!(protocol = protocol.name(), %refusal, "a datagram was refused");
}

/// Where the system says how many datagrams it dropped of a socket.
#[derive(Debug, Clone, Copy)]
pub struct Drops {
    protocol: Protocol,
    /// The socket, as `/proc` names it.
    inode: u64,
    table: &'static str,
}

impl Drops {
    /// Those of a socket.
    pub fn of(bound: &BoundDatagrams) -> Option<Drops> {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", bound.socket.as_raw_fd())).ok()?;
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
        let table = if bound.address.is_ipv4() { "/proc/self/net/udp" } else { "/proc/self/net/udp6" };
        Some(Drops { protocol: bound.protocol, inode, table })
    }

    /// Brings the metric up to date.
    pub fn read(&self, metrics: &Metrics) {
        match std::fs::read_to_string(self.table).map(|table| dropped(&table, self.inode)) {
            Ok(Some(total)) => metrics.kernel_dropped(self.protocol, total),
            Ok(None) => {}
            Err(error) => note_unreadable(self.table, &error),
        }
    }
}

fn note_unreadable(table: &str, error: &io::Error) {
    tracing::debug!(table, %error, "cannot read how many datagrams were dropped");
}

/// The last column of the socket's line. The tenth is its inode.
fn dropped(table: &str, inode: u64) -> Option<u64> {
    let is_ours = |line: &&str| line.split_whitespace().nth(9).is_some_and(|found| found.parse() == Ok(inode));
    table.lines().skip(1).find(is_ours)?.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_table_is_read() {
        // Guarantees that the drops of our own socket are found among those of others.
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
              51: 00000000:1AAF 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 711 2 0000000000000000 9\n\
             552: 0100007F:1AB0 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 712 2 0000000000000000 3155\n";
        assert_eq!(dropped(table, 712), Some(3155));
        assert_eq!(dropped(table, 713), None);
    }
}
