// SPDX-License-Identifier: GPL-2.0-only
// jbd2 by itself: handles, commits, who waits for whom. Small programs with known answers.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "engine/kernel/bug.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/jbd2/journal.h"
#include "scheduler/sync/mutex.h"
#include "tests/kernel_harness.h"

namespace kernel {
namespace {

constexpr interleaf::LockClass kFolioLock{"folio lock"};

class Journal : public testing::Test {
 protected:
  explicit Journal(int log_blocks = 0) {
    machine_.setup([this, log_blocks] {
      journal_ = new journal_t(log_blocks);
      folio_lock_ = new interleaf::Mutex(kFolioLock);
      data_ = new jbd2_inode;
      interleaf::Scheduler::instance()->spawn(
          "kjournald2", [](void* p) { kjournald2(static_cast<journal_t*>(p)); }, journal_, true);
    });
  }
  // Fails for the first of `seeds` runs that has a finding other than `allowed`.
  void expect_clean(unsigned seeds) {
    for (unsigned seed = 0; seed < seeds; ++seed) {
      const interleaf::RunResult& result = machine_.run(seed);
      ASSERT_EQ(result.end, interleaf::RunEnd::kFinished) << "seed " << seed;
      ASSERT_TRUE(result.findings.empty()) << "seed " << seed << ": " << result.verdict()->message;
    }
  }
  // The first deadlock of 0..seeds-1; null if there is none.
  const interleaf::Finding* deadlock(unsigned seeds) {
    for (unsigned seed = 0; seed < seeds; ++seed) {
      for (const interleaf::Finding& finding : machine_.run(seed).findings) {
        if (finding.kind == interleaf::FindingKind::kDeadlock) return &finding;
      }
    }
    return nullptr;
  }
  bool finds_lock_order(unsigned seeds, std::string_view classes) {
    for (unsigned seed = 0; seed < seeds; ++seed) {
      for (const interleaf::Finding& finding : machine_.run(seed).findings) {
        if (finding.kind == interleaf::FindingKind::kLockOrder && finding.object == classes) {
          return true;
        }
      }
    }
    return false;
  }
  tid_t change() {
    handle_t* handle = jbd2_journal_start(journal_, 2);
    const tid_t tid = handle->h_transaction->t_tid;
    jbd2_journal_dirty_metadata(handle);
    jbd2_journal_stop(handle);
    return tid;
  }

  kernel_harness machine_{{.persona_name = "generic"}};
  journal_t* journal_ = nullptr;
  interleaf::Mutex* folio_lock_ = nullptr;
  jbd2_inode* data_ = nullptr;
};

TEST_F(Journal, CommitsWhatWasAskedForAndNothingElse) {
  tid_t first = 0;
  tid_t second = 0;
  bool committed = false;
  machine_.task("a", [&] {
    first = change();
    EXPECT_EQ(change(), first);
    committed = jbd2_complete_transaction(journal_, first);
    EXPECT_FALSE(jbd2_complete_transaction(journal_, first));
    second = change();
  });
  expect_clean(1);
  EXPECT_TRUE(committed);
  EXPECT_EQ(second, first + 1);
  machine_.inspect([&] {
    EXPECT_EQ(journal_->j_commit_sequence.peek(), first);
    EXPECT_EQ(journal_->j_running_transaction->t_tid, second);
    EXPECT_EQ(journal_->j_committing_transaction, nullptr);
  });
}

TEST_F(Journal, DaemonDoesNothingUnlessACommitIsAskedFor) {
  machine_.task("a", [&] { change(); });
  expect_clean(1);
  const interleaf::Scheduler& scheduler = machine_.world().scheduler();
  for (interleaf::TaskId id = 0; id < scheduler.task_count(); ++id) {
    if (std::string_view(scheduler.task(id).name) == "kjournald2") {
      EXPECT_EQ(scheduler.task(id).own_steps, 0u);
    }
  }
}

TEST_F(Journal, NestedStartIsTheSameHandleAndNeverWaits) {
  machine_.task("a", [&] {
    handle_t* outer = jbd2_journal_start(journal_, 2);
    const tid_t tid = outer->h_transaction->t_tid;
    jbd2_log_start_commit(journal_, tid); /* locks the transaction, sooner or later */
    handle_t* inner = jbd2_journal_start(journal_, 2);
    BUG_ON(inner != outer);
    jbd2_journal_stop(inner);
    BUG_ON(jbd2_current_handle(journal_) != outer);
    jbd2_journal_stop(outer);
    BUG_ON(jbd2_current_handle(journal_) != nullptr);
    jbd2_log_wait_commit(journal_, tid);
  });
  expect_clean(200);
}

TEST_F(Journal, CommitWaitsForEveryHandleOfItsTransaction) {
  struct {
    bool open[2];
  } state{};
  static decltype(state)* watched = nullptr;
  watched = &state;
  for (unsigned i = 0; i < 2; ++i) {
    machine_.task(i == 0 ? "a" : "b", [&, i] {
      for (unsigned turn = 0; turn < 2; ++turn) {
        handle_t* handle = jbd2_journal_start(journal_, 2);
        const tid_t tid = handle->h_transaction->t_tid;
        state.open[i] = true;
        jbd2_journal_dirty_metadata(handle);
        BUG_ON(!tid_gt(tid, journal_->j_commit_sequence.read_once()));
        state.open[i] = false;
        jbd2_journal_stop(handle);
        jbd2_complete_transaction(journal_, tid);
        BUG_ON(tid_gt(tid, journal_->j_commit_sequence.read_once()));
      }
    });
  }
  machine_.setup([this] {
    journal_->j_log_position = [] {
      BUG_ON(watched->open[0] || watched->open[1]);
      return std::uint64_t{0};
    };
  });
  expect_clean(2000);
}

TEST_F(Journal, NewHandlesGoToTheNextTransactionOnceTheirOwnIsLocked) {
  bool met = false;
  machine_.task("a", [&] {
    handle_t* handle = jbd2_journal_start(journal_, 2);
    jbd2_log_start_commit(journal_, handle->h_transaction->t_tid);
    jbd2_journal_stop(handle);
  });
  machine_.task("b", [&] {
    for (unsigned i = 0; i < 2; ++i) {
      handle_t* handle = jbd2_journal_start(journal_, 2);
      journal_->j_state_lock.read_lock();
      BUG_ON(handle->h_transaction->t_state >= T_SWITCH);
      met = met || handle->h_transaction->t_state == T_LOCKED; /* while this one runs */
      journal_->j_state_lock.read_unlock();
      jbd2_journal_stop(handle);
    }
  });
  expect_clean(2000);
  EXPECT_TRUE(met);
}

/* The worker ends writeback for which the writer waits with a handle. */
class Conversion : public Journal {
 protected:
  void program(bool reserved) {
    machine_.setup([this] { done_ = new interleaf::Completion("writeback"); });
    machine_.task("a", [this, reserved] {
      handle_t* handle = jbd2__journal_start(journal_, 4, reserved ? 2 : 0);
      rsv_ = std::exchange(handle->h_rsv_handle, nullptr);
      submitted_->complete();
      done_->wait();
      jbd2_journal_stop(handle);
    });
    machine_.setup([this] { submitted_ = new interleaf::Completion("submission"); });
    machine_.task("worker", [this] {
      submitted_->wait();
      interleaf::Scheduler& scheduler = *interleaf::Scheduler::current();
      static constexpr interleaf::LockClass writeback{"writeback"};
      scheduler.claim(done_, scheduler.lock_class_index(writeback), false,
                      std::source_location::current());
      handle_t* handle = rsv_;
      if (handle != nullptr)
        jbd2_journal_start_reserved(handle);
      else
        handle = jbd2_journal_start(journal_, 2);
      jbd2_journal_stop(handle);
      scheduler.lock_dropped(done_, std::source_location::current());
      done_->complete();
    });
    machine_.task("fsync", [this] {
      const tid_t tid = change();
      jbd2_complete_transaction(journal_, tid);
    });
  }
  interleaf::Completion* done_ = nullptr;
  interleaf::Completion* submitted_ = nullptr;
  handle_t* rsv_ = nullptr;
};

TEST_F(Conversion, UnderAnOrdinaryHandleDeadlocksWithWhoWaitsUnderAnother) {
  program(false);
  const interleaf::Finding* finding = deadlock(2000);
  ASSERT_NE(finding, nullptr);
  EXPECT_EQ(finding->message, "cycle: a -> worker -> kjournald2 -> a");
  EXPECT_EQ(finding->object, "j_wait_transaction_locked+jbd2_handle+writeback");
  ASSERT_GE(finding->details.size(), 3u);
  EXPECT_NE(finding->details[0].find("a waits for writeback"), std::string::npos);
  EXPECT_NE(finding->details[0].find("held by worker"), std::string::npos);
  EXPECT_NE(finding->details[1].find("in wait_transaction_locked"), std::string::npos);
  EXPECT_NE(finding->details[1].find("held by kjournald2"), std::string::npos);
  EXPECT_NE(finding->details[2].find("transaction 1"), std::string::npos);
  EXPECT_NE(finding->details[2].find("held by a"), std::string::npos);
}

TEST_F(Conversion, UnderAReservedHandleJoinsTheLockedTransaction) {
  program(true);
  expect_clean(2000);
}

TEST_F(Journal, FolioLockBeforeHandleAndHandleBeforeFolioLockDeadlock) {
  machine_.task("a", [this] {
    handle_t* handle = jbd2_journal_start(journal_, 2);
    folio_lock_->lock();
    folio_lock_->unlock();
    jbd2_journal_stop(handle);
  });
  machine_.task("flusher", [this] {
    folio_lock_->lock();
    handle_t* handle = jbd2_journal_start(journal_, 2);
    jbd2_journal_stop(handle);
    folio_lock_->unlock();
  });
  machine_.task("fsync", [this] { jbd2_complete_transaction(journal_, change()); });
  EXPECT_TRUE(finds_lock_order(50, "folio lock+jbd2_handle"));
  const interleaf::Finding* finding = deadlock(5000);
  ASSERT_NE(finding, nullptr);
  EXPECT_EQ(finding->message, "cycle: a -> flusher -> kjournald2 -> a");
}

TEST_F(Journal, WaitingForACommitUnderAHandleOfItIsFound) {
  machine_.task("a", [this] {
    handle_t* handle = jbd2_journal_start(journal_, 2);
    const tid_t tid = handle->h_transaction->t_tid;
    jbd2_log_start_commit(journal_, tid);
    jbd2_log_wait_commit(journal_, tid);
    jbd2_journal_stop(handle);
  });
  const interleaf::Finding* finding = deadlock(1);
  ASSERT_NE(finding, nullptr);
  EXPECT_EQ(finding->message, "cycle: a -> kjournald2 -> a");
}

TEST_F(Journal, HandleThatIsNotStoppedIsFoundAtTheTasksEnd) {
  machine_.task("a", [this] { jbd2_journal_start(journal_, 2); });
  const interleaf::RunResult& result = machine_.run(0);
  ASSERT_FALSE(result.findings.empty());
  EXPECT_EQ(result.verdict()->kind, interleaf::FindingKind::kLockHeldAtEnd);
  EXPECT_EQ(result.verdict()->object, "jbd2_handle");
}

/* data=ordered: what the submit callback does under which name. */
struct OrderedLog {
  unsigned submitted = 0;
  unsigned finished = 0;
  tid_t committed_at_submit = 0;
  loff_t start = 0;
  loff_t end = 0;
};
OrderedLog ordered_log;
journal_t* ordered_journal;

TEST_F(Journal, WritesAndWaitsForOrderedDataBeforeTheCommitRecord) {
  ordered_log = {};
  machine_.setup([this] {
    ordered_journal = journal_;
    journal_->j_submit_inode_data_buffers = [](jbd2_inode* jinode) {
      ++ordered_log.submitted;
      ordered_log.start = jinode->i_dirty_start;
      ordered_log.end = jinode->i_dirty_end;
      ordered_log.committed_at_submit = ordered_journal->j_commit_sequence.peek();
      return 0;
    };
    journal_->j_finish_inode_data_buffers = [](jbd2_inode*) {
      BUG_ON(ordered_log.submitted == ordered_log.finished);
      ++ordered_log.finished;
      return 0;
    };
    journal_->j_committed = [](std::uint64_t) { BUG_ON(ordered_log.finished == 0); };
  });
  machine_.task("a", [this] {
    handle_t* handle = jbd2_journal_start(journal_, 2);
    const tid_t tid = handle->h_transaction->t_tid;
    jbd2_journal_inode_ranged_write(handle, data_, 4096, 100);
    jbd2_journal_inode_ranged_write(handle, data_, 1024, 100);
    jbd2_journal_stop(handle);
    jbd2_complete_transaction(journal_, tid);
  });
  expect_clean(1);
  EXPECT_EQ(ordered_log.submitted, 1u);
  EXPECT_EQ(ordered_log.finished, 1u);
  EXPECT_EQ(ordered_log.start, 1024);
  EXPECT_EQ(ordered_log.end, 4195);
  EXPECT_EQ(ordered_log.committed_at_submit, 0u);
  machine_.inspect([&] {
    EXPECT_EQ(data_->i_transaction.peek(), nullptr);
    EXPECT_EQ(data_->i_dirty_end, 0);
  });
}

// That it is to be written stays with an inode: its flags are never cleared.
TEST_F(Journal, WaitsOnlyForDataThatSomebodyElseWritesUnlessTheInodeWasWrittenBefore) {
  ordered_log = {};
  machine_.setup([this] {
    journal_->j_submit_inode_data_buffers = [](jbd2_inode*) {
      ++ordered_log.submitted;
      return 0;
    };
    journal_->j_finish_inode_data_buffers = [](jbd2_inode*) {
      ++ordered_log.finished;
      return 0;
    };
  });
  machine_.task("a", [this] {
    const auto commit_of = [this](void (*file)(handle_t*, jbd2_inode*, loff_t, loff_t)) {
      handle_t* handle = jbd2_journal_start(journal_, 2);
      const tid_t tid = handle->h_transaction->t_tid;
      file(handle, data_, 0, 100);
      jbd2_journal_stop(handle);
      jbd2_complete_transaction(journal_, tid);
    };
    commit_of(jbd2_journal_inode_ranged_wait);
    BUG_ON(ordered_log.submitted != 0 || ordered_log.finished != 1);
    commit_of(jbd2_journal_inode_ranged_write);
    BUG_ON(ordered_log.submitted != 1 || ordered_log.finished != 2);
    commit_of(jbd2_journal_inode_ranged_wait);
    BUG_ON(ordered_log.submitted != 2 || ordered_log.finished != 3);
  });
  expect_clean(1);
}

TEST_F(Journal, InodeOfACommittingTransactionIsHandedOnToTheNext) {
  ordered_log = {};
  machine_.setup([this] {
    ordered_journal = journal_;
    journal_->j_submit_inode_data_buffers = [](jbd2_inode*) {
      ++ordered_log.submitted;
      return 0;
    };
    journal_->j_finish_inode_data_buffers = [](jbd2_inode*) { return 0; };
  });
  for (const char* name : {"a", "b"}) {
    machine_.task(name, [this] {
      for (unsigned i = 0; i < 2; ++i) {
        handle_t* handle = jbd2_journal_start(journal_, 2);
        const tid_t tid = handle->h_transaction->t_tid;
        jbd2_journal_inode_ranged_write(handle, data_, 0, 100);
        jbd2_journal_stop(handle);
        jbd2_complete_transaction(journal_, tid);
        data_->i_transaction.load();
      }
    });
  }
  machine_.setup([] { ordered_log = {}; });
  for (unsigned seed = 0; seed < 500; ++seed) {
    ordered_log = {};
    const interleaf::RunResult& result = machine_.run(seed);
    ASSERT_EQ(result.end, interleaf::RunEnd::kFinished) << seed;
    ASSERT_TRUE(result.findings.empty()) << seed << result.verdict()->message;
    /* Each transaction that was committed had it. */
    machine_.inspect([&] {
      EXPECT_EQ(ordered_log.submitted, journal_->j_commit_sequence.peek()) << seed;
      EXPECT_EQ(data_->i_transaction.peek(), nullptr);
    });
  }
}

/* A log of 32 blocks: 8 in a transaction, 2 of them its own. */
class SmallJournal : public Journal {
 protected:
  SmallJournal() : Journal(32) {}
};

TEST_F(SmallJournal, FullTransactionIsCommittedWithoutAnybodyAsking) {
  machine_.task("a", [this] {
    tid_t last = 0;
    for (unsigned i = 0; i < 12; ++i) {
      handle_t* handle = jbd2_journal_start(journal_, 2);
      jbd2_journal_dirty_metadata(handle);
      jbd2_journal_dirty_metadata(handle);
      last = handle->h_transaction->t_tid;
      jbd2_journal_stop(handle);
    }
    BUG_ON(last != 4); /* three handles each */
  });
  expect_clean(50);
}

TEST_F(SmallJournal, UnusedCreditsAreGivenBack) {
  machine_.task("a", [this] {
    for (unsigned i = 0; i < 12; ++i) BUG_ON(change() != (i < 5 ? 1u : i < 10 ? 2u : 3u));
  });
  expect_clean(50);
}

TEST_F(SmallJournal, LogIsUsedAgainByCheckpoints) {
  machine_.task("a", [this] {
    for (unsigned i = 0; i < 40; ++i) jbd2_complete_transaction(journal_, change());
  });
  machine_.task("b", [this] {
    for (unsigned i = 0; i < 40; ++i) change();
  });
  expect_clean(50);
  machine_.inspect([&] {
    int held = 0;
    for (const int blocks : journal_->j_checkpoint_transactions) held += blocks;
    EXPECT_EQ(journal_->j_free + held, 32);
  });
}

TEST_F(SmallJournal, HandleThatWaitsForRoomInTheTransactionOfWhoWaitsForItDeadlocks) {
  machine_.setup([this] { folio_lock_ = new interleaf::Mutex(kFolioLock); });
  machine_.task("a", [this] {
    handle_t* handle = jbd2_journal_start(journal_, 5);
    folio_lock_->lock();
    folio_lock_->unlock();
    jbd2_journal_stop(handle);
  });
  machine_.task("flusher", [this] {
    folio_lock_->lock();
    handle_t* handle = jbd2_journal_start(journal_, 5); /* asks for the commit itself */
    jbd2_journal_stop(handle);
    folio_lock_->unlock();
  });
  const interleaf::Finding* finding = deadlock(2000);
  ASSERT_NE(finding, nullptr);
  EXPECT_EQ(finding->message, "cycle: a -> flusher -> kjournald2 -> a");
}

TEST_F(SmallJournal, ReservedCreditsAreGivenBackOrUsed) {
  machine_.task("a", [this] {
    for (unsigned i = 0; i < 6; ++i) {
      handle_t* handle = jbd2__journal_start(journal_, 2, 2);
      handle_t* reserved = std::exchange(handle->h_rsv_handle, nullptr);
      jbd2_journal_stop(handle);
      if (i % 2 == 0) {
        jbd2_journal_start_reserved(reserved);
        jbd2_journal_dirty_metadata(reserved);
        jbd2_journal_stop(reserved);
      } else {
        jbd2_journal_free_reserved(reserved);
      }
    }
    jbd2_journal_stop(jbd2__journal_start(journal_, 2, 2)); /* with it still in it */
  });
  machine_.task("b", [this] {
    for (unsigned i = 0; i < 4; ++i) jbd2_complete_transaction(journal_, change());
  });
  expect_clean(200);
  machine_.inspect([&] { EXPECT_EQ(journal_->j_reserved_credits.peek(), 0); });
}

}  // namespace
}  // namespace kernel
