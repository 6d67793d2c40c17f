use std::sync::mpsc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::*;

/// Work that goes on until it is told to stop, and says when it began.
struct Job {
    task: JoinHandle<Result<(), PasswordError>>,
    began: mpsc::Receiver<()>,
    end: mpsc::Sender<()>,
}

fn start(pool: &Arc<HashingPool>) -> Job {
    let (tell, began) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let pool = Arc::clone(pool);
    let task = tokio::spawn(async move {
        let work = move |memory: &mut Memory| {
            memory.blocks(memory.len() + 1).unwrap();
            tell.send(()).unwrap();
            // An error when the test dropped the other end, which ends it as well.
            let _ = ended.recv();
        };
        pool.run(work).await
    });
    Job { task, began, end }
}

impl Job {
    fn has_begun(&self) -> bool {
        self.began.recv_timeout(Duration::from_secs(10)).is_ok()
    }

    fn waits(&self) -> bool {
        self.began.try_recv().is_err()
    }

    async fn finish(self) {
        self.end.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

fn pool(concurrency: usize) -> Arc<HashingPool> {
    Arc::new(HashingPool::new(concurrency))
}

/// Lets the tasks that were started come to where they wait.
async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

fn inside(pool: &HashingPool) -> usize {
    pool.room.inside.load(Ordering::Acquire)
}

#[tokio::test]
async fn no_more_than_so_many_compute_at_a_time() {
    let pool = pool(2);
    let jobs: Vec<Job> = (0..5).map(|_| start(&pool)).collect();
    settle().await;
    let mut jobs = jobs.into_iter();
    let (first, second) = (jobs.next().unwrap(), jobs.next().unwrap());
    assert!(first.has_begun() && second.has_begun());
    let rest: Vec<Job> = jobs.collect();
    assert!(rest.iter().all(Job::waits));
    first.finish().await;
    settle().await;
    assert!(rest[0].has_begun(), "in the order they came");
    assert!(rest[1].waits() && rest[2].waits());
    second.finish().await;
    for job in rest {
        job.finish().await;
    }
    assert_eq!(inside(&pool), 0);
}

#[tokio::test]
async fn past_the_queue_one_is_refused_at_once_and_later_served_again() {
    let pool = pool(1);
    let jobs: Vec<Job> = (0..=WAITING_PER_PERMIT).map(|_| start(&pool)).collect();
    settle().await;
    assert_eq!(start(&pool).task.await.unwrap(), Err(PasswordError::Overloaded));
    assert_eq!(pool.run(|_| ()).await, Err(PasswordError::Overloaded));
    assert_eq!(inside(&pool), 1 + WAITING_PER_PERMIT, "a refused one has no place");
    for job in jobs {
        job.finish().await;
    }
    assert_eq!(pool.run(|_| 7).await, Ok(7));
}

#[tokio::test]
async fn who_waits_too_long_for_a_turn_is_refused_and_gives_up_the_place() {
    let pool = Arc::new(HashingPool { longest_wait: Duration::from_millis(20), ..HashingPool::new(1) });
    let running = start(&pool);
    settle().await;
    assert!(running.has_begun());
    assert_eq!(pool.run(|_| ()).await, Err(PasswordError::Overloaded));
    assert_eq!(inside(&pool), 1);
    running.finish().await;
    assert_eq!(pool.run(|_| 7).await, Ok(7));
}

#[tokio::test]
async fn a_request_that_goes_away_while_it_waits_gives_up_its_place() {
    let pool = pool(1);
    let running = start(&pool);
    let waiting: Vec<Job> = (0..WAITING_PER_PERMIT).map(|_| start(&pool)).collect();
    settle().await;
    assert_eq!(pool.run(|_| ()).await, Err(PasswordError::Overloaded));
    for job in waiting {
        job.task.abort();
        assert!(job.task.await.unwrap_err().is_cancelled());
        assert!(job.began.recv().is_err(), "it never began");
    }
    assert_eq!(inside(&pool), 1);
    let next = start(&pool);
    running.finish().await;
    next.finish().await;
}

#[tokio::test]
async fn work_that_nobody_waits_for_any_more_counts_until_it_is_done() {
    let pool = pool(1);
    let abandoned = start(&pool);
    settle().await;
    assert!(abandoned.has_begun());
    abandoned.task.abort();
    let next = start(&pool);
    settle().await;
    assert!(next.waits() && inside(&pool) == 2);
    abandoned.end.send(()).unwrap();
    next.finish().await;
}

#[tokio::test]
async fn work_that_panics_gives_up_its_place() {
    let pool = pool(1);
    let work = |_: &mut Memory| -> () { panic!("as if") };
    assert!(matches!(pool.run(work).await, Err(PasswordError::Failed(_))));
    assert_eq!(inside(&pool), 0);
    assert_eq!(pool.run(|_| 7).await, Ok(7));
}

#[tokio::test]
async fn memory_is_handed_on_while_somebody_waits_and_given_back_when_nobody_does() {
    let pool = pool(1);
    let (first, second, third) = (start(&pool), start(&pool), start(&pool));
    settle().await;
    let seen = pool.run(|memory| memory.len());
    let tell = async {
        settle().await;
        first.finish().await;
        second.finish().await;
        third.task.abort();
        third.end.send(()).unwrap();
    };
    let (seen, ()) = tokio::join!(seen, tell);
    assert!(seen.unwrap() >= 2, "the memory of those before");
    assert!(pool.room.spare().is_empty());
    assert_eq!(pool.run(|memory| memory.len()).await, Ok(0));
}
