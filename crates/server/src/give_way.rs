//! Threads that give way: whatever can wait runs at a lower priority than questions do.
//!
//! While spans come in as fast as they can be taken every core is busy, and a question that takes three milliseconds of one waits for
//! its turn several times as long. Nobody looks at a screen for the threads that receive, seal, merge and follow flows; they share
//! what questions leave, which is nearly everything. Only Linux has priorities for single threads; elsewhere all are equal. The
//! thread that commits is not among them: it does little, and everybody who sends waits for it.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// How much nicer than others; a tenth of the share of a thread that is not.
#[cfg(target_os = "linux")]
const NICER: i32 = 10;

/// The lowest priority there is.
#[cfg(target_os = "linux")]
const NICEST: i32 = 19;

/// Lowers the priority of the calling thread, for good. Threads that it starts have its priority; doing this again changes nothing.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpid, getpriority_process, setpriority_process};
        // The system's number of the process is that of its first thread, which never gives way.
        let usual = getpriority_process(Some(getpid()));
        let lowered = usual.and_then(|usual| setpriority_process(None, (usual + NICER).min(NICEST)));
        if let Err(error) = lowered {
            tracing::debug!(%error, "a thread keeps its priority");
        }
    }
}

/// A runtime of its own for listeners whose work gives way.
#[derive(Debug)]
pub struct YieldingRuntime(Option<Runtime>);

impl YieldingRuntime {
    /// Starts its threads.
    pub fn start() -> io::Result<YieldingRuntime> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.thread_name("receive").on_thread_start(give_way).enable_all().build()?;
        Ok(YieldingRuntime(Some(runtime)))
    }

    /// Where tasks are started.
    pub fn handle(&self) -> &Handle {
        self.0.as_ref().expect("it is there until it is dropped").handle()
    }
}

impl Drop for YieldingRuntime {
    fn drop(&mut self) {
        // Waiting for its threads is not allowed where tasks run.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{getpid, getpriority_process};

    use super::*;

    #[tokio::test]
    async fn only_its_own_threads_give_way() {
        // Guarantees a lower priority for the runtime's tasks and for what they run aside, and for no other thread.
        let before = getpriority_process(None).unwrap();
        let usual = getpriority_process(Some(getpid())).unwrap();
        let runtime = YieldingRuntime::start().unwrap();
        let lowered = || getpriority_process(None).unwrap();
        let aside = runtime.handle().spawn(async move { (lowered(), tokio::task::spawn_blocking(lowered).await) });
        let (inside, aside) = aside.await.unwrap();
        let expected = (usual + NICER).min(NICEST);
        assert_eq!((inside, aside.unwrap()), (expected, expected));
        assert_eq!(getpriority_process(None).unwrap(), before);
        drop(runtime);
    }
}
