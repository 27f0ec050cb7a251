#include "engine/scheduler.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace malina::engine {

using math::kPagePositions;
using model::PageCounts;

namespace {

// So many tasks of an owner are looked at for one that does not wait for a prefix.
constexpr std::size_t kLookAhead = 16;

PageCounts at_most(PageCounts counts, const PageCounts& bound) {
  for (std::size_t kind = 0; kind < counts.kinds.size(); ++kind)
    counts.kinds[kind] = std::min(counts.kinds[kind], bound.kinds[kind]);
  return counts;
}

}  // namespace

Scheduler::Scheduler(model::PagePool& pool, std::size_t max_rows, std::size_t short_context,
                     Speculation speculation, std::function<PageCounts(std::size_t)> pages_for)
    : pool_(pool),
      max_rows_(max_rows),
      short_context_(short_context),
      speculation_(speculation),
      pages_for_(std::move(pages_for)),
      prefixes_(pool) {}
Scheduler::~Scheduler() = default;

void Scheduler::add(std::unique_ptr<Task> task) {
  task->number = next_number_++;
  task->long_context = task->longest() > short_context_;
  const std::string& owner = task->generation.owner;
  shares_.enter(owner);
  waiting_[owner].emplace(task->number, std::move(task));
  ++waiting_count_;
}

void Scheduler::sweep() {
  std::erase_if(running_, [&](const std::unique_ptr<Task>& task) {
    if (task->over) {
      shares_.leave(task->generation.owner);
      prompt_shares_.leave(task->generation.owner);
    }
    return task->over;
  });
  for (auto& [owner, queue] : waiting_)
    waiting_count_ -= std::erase_if(queue, [&](const auto& entry) {
      if (entry.second->over) shares_.leave(owner);
      return entry.second->over;
    });
  std::erase_if(waiting_, [](const auto& entry) { return entry.second.empty(); });
}

void Scheduler::each(const std::function<void(Task&)>& visit) {
  for (auto& task : running_) visit(*task);
  for (auto& [owner, queue] : waiting_)
    for (auto& [number, task] : queue) visit(*task);
}

const std::vector<Scheduler::Portion>& Scheduler::plan(const StepPace& pace) {
  portions_.clear();
  admit();
  const std::size_t answers = add_answers();
  add_prompts(std::min(max_rows_ - answers, pace.prompt_rows(answers)));
  add_drafts(pace);
  secure_pages();
  for (auto& task : running_) task->progressed = false;
  for (const Portion& portion : portions_) portion.task->progressed = true;
  return portions_;
}

void Scheduler::admit() {
  while (running_.size() < max_rows_) {
    std::map<std::string, Queue>::iterator owner = waiting_.end();
    Queue::iterator next;
    for (auto queue = waiting_.begin(); queue != waiting_.end(); ++queue) {
      if (owner != waiting_.end() && shares_.served(queue->first) >= shares_.served(owner->first))
        continue;
      bool found = false;
      const auto candidate = next_of(queue->second, found);
      if (!found) continue;
      owner = queue;
      next = candidate;
    }
    if (owner == waiting_.end() || !start(*next->second)) return;
    running_.push_back(std::move(next->second));
    owner->second.erase(next);
    if (owner->second.empty()) waiting_.erase(owner);
    --waiting_count_;
  }
}

Scheduler::Queue::iterator Scheduler::next_of(Queue& queue, bool& found) {
  std::size_t seen = 0;
  for (auto entry = queue.begin(); entry != queue.end() && seen < kLookAhead; ++entry, ++seen) {
    found = !waits_for_a_prefix(*entry->second);
    if (found) return entry;
  }
  return queue.end();
}

// Whether a task that runs is just computing pages that this one needs too: it takes them when they
// are there. It waits as long only as the other goes on, and holds no pages while it waits.
bool Scheduler::waits_for_a_prefix(const Task& task) {
  if (!task.shares()) return false;
  for (const auto& other : running_) {
    if (!other->progressed || other->remaining() <= 1 || !other->shares()) continue;
    const std::size_t most = std::min(task.may_skip(), other->tokens.size());
    const std::size_t done = other->computed();
    if (most / kPagePositions <= done / kPagePositions || !task.may_share_with(*other)) continue;
    const auto differs =
        std::mismatch(task.tokens.begin(), task.tokens.begin() + static_cast<std::ptrdiff_t>(most),
                      other->tokens.begin());
    const auto common = static_cast<std::size_t>(differs.first - task.tokens.begin());
    if (common / kPagePositions > done / kPagePositions) return true;
  }
  return false;
}

// What a sequence still takes until all known tokens are computed.
PageCounts Scheduler::rest_of(const Task& task, const model::Sequence& sequence) const {
  PageCounts rest = at_most(sequence.pages_needed(task.tokens.size() - sequence.length()),
                            pages_for_(task.tokens.size()));
  for (std::size_t kind = 0; kind < pool_.kinds() && task.branches; ++kind)
    rest.kinds[kind] += task.branches->least_pages();
  return rest;
}

// Begins with what is computed already. False when the pages of its prompt, those that other
// prompts still need and one for each that answers do not fit.
bool Scheduler::start(Task& task) {
  auto sequence = std::make_unique<model::Sequence>(pool_);
  sequence->long_context = task.long_context;
  sequence->adapter = task.generation.adapter;
  if (task.shares())
    sequence->start_from(prefixes_.find(task.key(), std::span(task.tokens).first(task.may_skip())));
  PageCounts needed = rest_of(task, *sequence);
  for (const auto& other : running_) needed += rest_of(*other, *other->sequence);
  for (std::size_t kind = 0; kind < pool_.kinds() && !running_.empty(); ++kind)
    needed.kinds[kind] += running_.size() + 1;
  PageCounts room = pool_.free_pages();
  room += pool_.idle_pages();
  if (!needed.fits_in(room)) return false;

  const std::size_t skipped = sequence->length();
  task.sequence = std::move(sequence);
  task.kept_pages = skipped / kPagePositions;
  task.progressed = true;
  prompt_shares_.enter(task.generation.owner);
  cached_tokens_ += skipped;
  if (task.admitted) return true;
  task.admitted = true;
  task.started = std::chrono::steady_clock::now();
  task.result.queue_time = task.started - task.submitted;
  task.result.cached_tokens = skipped;
  task.stream->prompt_done_.store(skipped);
  shares_.charge(
      task.generation.owner,
      FairShares::kPromptToken * static_cast<double>(task.tokens.size() - skipped +
                                                     (task.branches ? task.branches->nodes() : 0)));
  return true;
}

std::size_t Scheduler::add_answers() {
  for (auto& task : running_)
    if (task->remaining() == 1) portions_.push_back({task.get(), 1});
  return portions_.size();
}

// A page at a time to the owner whose prompts had the fewest rows; of one owner, to the task that
// was admitted first. The oldest of all has a page in any case. (What owners were served counts a
// prompt as a whole when it is admitted: by that, a short one would wait for a long one before it.)
void Scheduler::add_prompts(std::size_t rows) {
  std::map<Task*, std::size_t> taken;
  const auto left = [&](Task& task) {
    if (task.remaining() == 1) return std::size_t{0};
    const auto found = taken.find(&task);
    const std::size_t all =
        task.remaining() == 0 && task.branches ? task.branches->ready() : task.remaining();
    return all - (found == taken.end() ? 0 : found->second);
  };
  const auto give = [&](Task& task) {
    const std::size_t piece = std::min({rows, kPagePositions, left(task)});
    taken[&task] += piece;
    rows -= piece;
    prompt_shares_.charge(task.generation.owner, static_cast<double>(piece));
  };
  if (Task* first = oldest(); first != nullptr && left(*first) > 0) give(*first);
  while (rows > 0) {
    Task* next = nullptr;
    double least = 0;
    for (const auto& task : running_) {
      if (left(*task) == 0) continue;
      const double served = prompt_shares_.served(task->generation.owner);
      if (next != nullptr && served >= least) continue;
      next = task.get();
      least = served;
    }
    if (next == nullptr) break;
    give(*next);
  }
  add_portions(taken);
}

void Scheduler::add_portions(const std::map<Task*, std::size_t>& rows) {
  std::vector<std::pair<Task*, std::size_t>> tries;
  for (const auto& task : running_) {  // in their order, not in that of addresses
    const auto found = rows.find(task.get());
    if (found == rows.end() || found->second == 0) continue;
    if (task->remaining() > 0)
      portions_.push_back({task.get(), found->second});
    else
      tries.emplace_back(task.get(), found->second);
  }
  // When it is known what pages the others need: these take what is left.
  for (std::size_t i = 0; i < tries.size(); ++i)
    add_branches(*tries[i].first, tries[i].second, tries.size() - 1 - i);
}

// The first segment in any case, as rows of prompts; of the others those whose pages are there, and
// those that what follows them will need: a trie that has begun everywhere and can go on nowhere
// would begin anew. `behind`: so many other tries have yet to take their first segment.
void Scheduler::add_branches(Task& task, std::size_t rows, std::size_t behind) {
  Branches& branches = *task.branches;
  PageCounts room = pool_.free_pages();
  room += pool_.idle_pages();
  PageCounts needed = pages_of_portions();
  PageCounts ways_down;
  for (std::size_t kind = 0; kind < pool_.kinds(); ++kind) {
    needed.kinds[kind] += 2 * behind;  // what is partly filled, and one more
    ways_down.kinds[kind] = branches.least_pages();
  }
  const auto with_pages_of = [&](std::span<const Branches::Piece> pieces) {
    PageCounts pages = needed;
    for (const Branches::Piece& piece : pieces) pages += piece.pages();
    return pages;
  };
  while (rows > 0) {
    const bool first = branches.planned().empty();
    auto pieces = branches.plan(rows, *task.sequence, Branches::Extent::subtree);
    if (pieces.empty()) break;
    PageCounts with = with_pages_of(pieces);
    if (!first && branches.leads_on(pieces.back())) with += ways_down;
    if (!with.fits_in(room)) {
      branches.give_back();
      if (!first) break;
      // Something has to go on: the first segment is computed whatever it takes.
      pieces = branches.plan(rows, *task.sequence, Branches::Extent::segment);
    }
    needed = with_pages_of(pieces);
    for (const Branches::Piece& piece : pieces) rows -= piece.nodes.size();
  }
  portions_.push_back({&task, 0});
}

Task* Scheduler::oldest() const {
  const auto first =
      std::min_element(running_.begin(), running_.end(),
                       [](const auto& a, const auto& b) { return a->number < b->number; });
  return first == running_.end() ? nullptr : first->get();
}

// Only where nothing but answers is computed: a prompt makes the step long enough.
void Scheduler::add_drafts(const StepPace& pace) {
  if (speculation_ == Speculation::off) return;
  for (const Portion& portion : portions_)
    if (portion.task->remaining() > 1 || portion.rows == 0) return;
  std::size_t rows = portions_.size();
  auto tokens = static_cast<double>(rows);
  for (Portion& portion : portions_) {
    Task& task = *portion.task;
    if (task.result.answer_tokens == 0 || rows >= std::min(max_rows_, kMostDraftRows)) continue;
    // The last token that may come is chosen after the row before it.
    const std::size_t most =
        std::min({kMostDrafts, task.generation.max_tokens - task.result.answer_tokens - 1,
                  std::min(max_rows_, kMostDraftRows) - rows});
    if (most == 0) continue;
    const std::size_t wanted = speculation_ == Speculation::always
                                   ? most
                                   : std::min(most, task.drafts.choose(pace, rows, tokens));
    if (wanted == 0) continue;
    portion.drafts = look_up(task.tokens, wanted);
    rows += portion.drafts.size();
    tokens += task.drafts.expected(portion.drafts.size());
  }
  PageCounts room = pool_.free_pages();
  room += pool_.idle_pages();
  if (pages_of_portions().fits_in(room)) return;
  for (Portion& portion : portions_) portion.drafts.clear();
}

PageCounts Scheduler::pages_of_portions() const {
  PageCounts needed;
  for (const Portion& portion : portions_)
    needed += portion.rows == 0
                  ? portion.task->branches->planned_pages()
                  : portion.task->sequence->pages_needed(portion.rows + portion.drafts.size());
  return needed;
}

void Scheduler::secure_pages() {
  for (;;) {
    if (prefixes_.make_room(pages_of_portions())) return;
    Task* task = victim();
    if (task == nullptr) {
      math::require(narrow_branches(), "secure_pages", "a task alone does not fit");
      continue;
    }
    std::erase_if(portions_, [&](const Portion& portion) { return portion.task == task; });
    preempt(*task);
  }
}

// The one task that is left holds the pages itself, for branches that wait: it begins them anew,
// one at a time, which fits.
bool Scheduler::narrow_branches() {
  const auto wide = std::find_if(portions_.begin(), portions_.end(), [](const Portion& portion) {
    return portion.rows == 0 && !portion.task->branches->narrow();
  });
  if (wide == portions_.end()) return false;
  Task& task = *wide->task;
  task.branches->restart(true);
  task.branches->begin();
  portions_.erase(wide);
  add_branches(task, 1, 0);
  return true;
}

// Of the owner who holds most pages, the youngest; never the oldest of all.
Task* Scheduler::victim() const {
  std::map<std::string, std::size_t> held;
  for (const auto& task : running_)
    held[task->generation.owner] +=
        task->sequence->total_pages() + (task->branches ? task->branches->sequences() : 0);
  const auto order = [&](const Task& task) {
    return std::pair(held.at(task.generation.owner), task.number);
  };
  const Task* spared = oldest();
  Task* found = nullptr;
  for (const auto& task : running_)
    if (task.get() != spared && (found == nullptr || order(*task) > order(*found)))
      found = task.get();
  return found;
}

void Scheduler::preempt(Task& task) {
  if (task.branches) task.branches->restart(false);
  task.sequence.reset();
  prompt_shares_.leave(task.generation.owner);
  const auto place = std::find_if(running_.begin(), running_.end(),
                                  [&](const auto& each) { return each.get() == &task; });
  waiting_[task.generation.owner].emplace(task.number, std::move(*place));
  running_.erase(place);
  ++waiting_count_;
  ++preemptions_;
}

void Scheduler::computed() {
  for (const Portion& portion : portions_) {
    Task& task = *portion.task;
    if (!portion.drafts.empty()) verify(portion);
    const std::size_t answered =
        task.result.answer_tokens - std::exchange(task.charged_tokens, task.result.answer_tokens);
    shares_.charge(task.generation.owner, FairShares::kAnswerToken * static_cast<double>(answered));
    const std::size_t pages = task.computed() / kPagePositions;
    if (!task.shares() || pages == task.kept_pages) continue;  // also of one that is over now
    prefixes_.keep(task.key(), task.tokens, *task.sequence);
    task.kept_pages = pages;
  }
}

// The last known token is never computed: what is beyond it was computed from guesses that were
// wrong.
void Scheduler::verify(const Portion& portion) {
  Task& task = *portion.task;
  model::Sequence& sequence = *task.sequence;
  const std::size_t known = sequence.length() - portion.drafts.size();
  const std::size_t right = std::max(known, task.tokens.size() - 1);  // less where choosing failed
  drafted_tokens_ += portion.drafts.size();
  accepted_tokens_ += right - known;
  task.drafts.verified(portion.drafts.size(), right - known);
  sequence.truncate(static_cast<std::uint32_t>(right));
  sequence.revocable = 0;
  sequence.drop_outside_window();
}

}  // namespace malina::engine
