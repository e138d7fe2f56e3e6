package memory

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/posthouse-mail/posthouse/queue"
)

// settleWith changes copies of outcomes before a claim is settled.
func settleWith(f func(*queue.Outcome)) func(*behaviour) {
	return func(b *behaviour) {
		b.settle = func(q *Queue, ctx context.Context, c queue.Claim, outcomes []queue.Outcome) error {
			outcomes = slices.Clone(outcomes)
			for i := range outcomes {
				f(&outcomes[i])
			}
			return q.Settle(ctx, c, outcomes)
		}
	}
}

// settleThen changes what is left of a message when a claim of it was settled.
func settleThen(f func(q *Queue, h *held, outcomes []queue.Outcome)) func(*behaviour) {
	return func(b *behaviour) {
		b.settle = func(q *Queue, ctx context.Context, c queue.Claim, outcomes []queue.Outcome) error {
			err := q.Settle(ctx, c, outcomes)
			if err == nil {
				q.inside(func() {
					if h := q.messages[c.ID]; h != nil {
						f(q, h, outcomes)
					}
				})
			}
			return err
		}
	}
}

var settleFaults = []fault{
	{"an outcome is acknowledged and lost", "Living/Settle/DoneIsGone Living/Settle/StateRemembersAttempts Durable/Acknowledged/SettleForGood", func(b *behaviour) { b.settle = releaseAll }},
	{"a message is gone when its first recipient is settled", "Living/Settle/EachRecipientHasItsOutcome Living/Settle/ContentStaysUntilTheLastRecipient Durable/Acknowledged/SettleSome", settleThen(func(q *Queue, h *held, outcomes []queue.Outcome) {
		if slices.ContainsFunc(outcomes, func(o queue.Outcome) bool { return o.Done }) {
			for _, r := range slices.Clone(h.recipients) {
				if r.lease == nil {
					q.leave(r)
				}
				q.remove(r)
			}
		}
	})},
	{"all recipients of a claim get the first one's outcome", "Living/Settle/EachRecipientHasItsOutcome Durable/Acknowledged/SettleSome", func(b *behaviour) {
		b.settle = func(q *Queue, ctx context.Context, c queue.Claim, outcomes []queue.Outcome) error {
			if len(outcomes) != len(c.States) {
				return q.Settle(ctx, c, outcomes)
			}
			return q.Settle(ctx, c, slices.Repeat(outcomes[:1], len(outcomes)))
		}
	}},
	{"outcomes are in the order of the last recipient first", "Living/Settle/EachRecipientHasItsOutcome", func(b *behaviour) {
		b.settle = func(q *Queue, ctx context.Context, c queue.Claim, outcomes []queue.Outcome) error {
			outcomes = slices.Clone(outcomes)
			slices.Reverse(outcomes)
			return q.Settle(ctx, c, outcomes)
		}
	}},
	{"the time of the next attempt is ignored", "Living/Settle/RetryComesAtItsTime Durable/Acknowledged/SettleForLater", settleWith(func(o *queue.Outcome) { o.Retry = time.Time{} })},
	{"the next attempt comes an hour late", "Living/Settle/RetryComesAtItsTime Living/Settle/ZeroRetryIsAtOnce", settleThen(func(q *Queue, h *held, _ []queue.Outcome) {
		for _, r := range h.recipients {
			if r.lease == nil {
				q.leave(r)
				r.next = r.next.Add(time.Hour)
				q.wait(r)
			}
		}
	})},
	{"attempts are not counted", "Living/Settle/ZeroRetryIsAtOnce Living/Settle/StateRemembersAttempts Living/Powers/ListShowsTheState", settleThen(func(_ *Queue, h *held, _ []queue.Outcome) {
		for _, r := range h.recipients {
			r.state.Attempts = 0
		}
	})},
	{"the reply of the last attempt is lost", "Living/Settle/StateRemembersAttempts Living/Powers/ListShowsTheState Durable/Acknowledged/SettleForLater", settleWith(func(o *queue.Outcome) { o.Reply = nil })},
	{"a delay notice is forgotten", "Living/Settle/StateRemembersAttempts Durable/Acknowledged/SettleForLater", settleWith(func(o *queue.Outcome) { o.Delayed = false })},
	{"the wrong number of outcomes is taken", "Living/Settle/WrongNumberOfOutcomesChangesNothing", func(b *behaviour) {
		b.settle = func(q *Queue, ctx context.Context, c queue.Claim, outcomes []queue.Outcome) error {
			all := make([]queue.Outcome, len(c.States))
			copy(all, outcomes)
			return q.Settle(ctx, c, all)
		}
	}},
	{"a claim that was settled can be settled again", "Living/Settle/TwiceIsALostLease Living/Lease/IsLostToTheNextClaim Living/Settle/UnknownLeaseIsLost", func(b *behaviour) {
		b.settle = func(q *Queue, ctx context.Context, c queue.Claim, outcomes []queue.Outcome) error {
			if err := q.Settle(ctx, c, outcomes); !errors.Is(err, queue.ErrLeaseLost) {
				return err
			}
			return nil
		}
	}},
	{"a lost claim settles another's", "Living/Lease/IsLostToTheNextClaim", func(b *behaviour) {
		b.settle = func(q *Queue, ctx context.Context, c queue.Claim, outcomes []queue.Outcome) error {
			q.inside(func() {
				for _, l := range q.leases {
					if l.recipients[0].id == c.ID {
						c.Lease = l.id
					}
				}
			})
			return q.Settle(ctx, c, outcomes)
		}
	}},
	{"nobody is told of another attempt", "Living/Next/RetryTells", func(b *behaviour) {
		b.settle = func(q *Queue, ctx context.Context, c queue.Claim, outcomes []queue.Outcome) error {
			var told chan struct{}
			q.inside(func() { told, q.changed = q.changed, make(chan struct{}) })
			err := q.Settle(ctx, c, outcomes)
			q.inside(func() { q.changed = told })
			return err
		}
	}},
}

// releaseAll gives a claim back as if it had been settled.
func releaseAll(q *Queue, ctx context.Context, c queue.Claim, _ []queue.Outcome) error {
	return q.Release(ctx, c)
}

// claimFor claims for another time than is said.
func claimFor(f func(time.Duration) time.Duration) func(*behaviour) {
	return func(b *behaviour) {
		b.claim = func(q *Queue, ctx context.Context, n int, lease time.Duration) ([]queue.Claim, error) {
			claims, err := q.Claim(ctx, n, f(lease))
			for i := range claims {
				claims[i].Until = q.Now().Add(lease)
			}
			return claims, err
		}
	}
}

var leaseFaults = []fault{
	{"a lease never ends", "Living/Lease/EndsAndTheRecipientsComeBack Living/Lease/ComesBackInItsOrder Living/Next/EndOfALease", claimFor(func(d time.Duration) time.Duration { return d * 1000 })},
	{"a lease ends early", "Living/Lease/EndsAndTheRecipientsComeBack", claimFor(func(d time.Duration) time.Duration { return d / 2 })},
	{"a lease that ends counts as an attempt", "Living/Lease/EndsAndTheRecipientsComeBack", func(b *behaviour) {
		b.claim = func(q *Queue, ctx context.Context, n int, lease time.Duration) ([]queue.Claim, error) {
			q.inside(func() {
				for _, l := range q.leases {
					if !l.until.After(q.Now()) {
						for _, r := range l.recipients {
							r.state.Attempts++
						}
					}
				}
			})
			return q.Claim(ctx, n, lease)
		}
	}},
	{"a lease that ends drops its recipients", "Living/Lease/EndsAndTheRecipientsComeBack Living/Lease/EndsForSomeAndNotForOthers", func(b *behaviour) {
		b.claim = func(q *Queue, ctx context.Context, n int, lease time.Duration) ([]queue.Claim, error) {
			q.inside(func() {
				for _, l := range slices.Collect(maps.Values(q.leases)) {
					if !l.until.After(q.Now()) {
						q.end(l)
						for _, r := range l.recipients {
							q.remove(r)
						}
					}
				}
			})
			return q.Claim(ctx, n, lease)
		}
	}},
	{"all leases end with the first", "Living/Lease/EndsForSomeAndNotForOthers", func(b *behaviour) {
		b.claim = func(q *Queue, ctx context.Context, n int, lease time.Duration) ([]queue.Claim, error) {
			q.inside(func() {
				for _, l := range q.leases {
					if !l.until.After(q.Now()) {
						for _, o := range q.leases {
							o.until = q.Now()
						}
						break
					}
				}
			})
			return q.Claim(ctx, n, lease)
		}
	}},
	{"what is released counts as an attempt", "Living/Lease/ReleaseGivesBackAtOnce", func(b *behaviour) {
		b.release = func(q *Queue, ctx context.Context, c queue.Claim) error {
			return q.Settle(ctx, c, make([]queue.Outcome, len(c.States)))
		}
	}},
	{"what is released waits for the end of its lease", "Living/Lease/ReleaseGivesBackAtOnce", func(b *behaviour) {
		b.release = func(q *Queue, _ context.Context, c queue.Claim) (err error) {
			q.inside(func() {
				if q.leases[c.Lease] == nil {
					err = queue.ErrLeaseLost
				}
			})
			return err
		}
	}},
	{"the ends of leases are not waited for", "Living/Next/EndOfALease", func(b *behaviour) {
		b.next = func(q *Queue) (time.Time, <-chan struct{}) {
			var held map[uint64]*lease
			q.inside(func() { held, q.leases = q.leases, map[uint64]*lease{} })
			due, changed := q.Next()
			q.inside(func() { q.leases = held })
			return due, changed
		}
	}},
	{"a destination at its limit is waited for", "Living/Next/LimitedDestinationDoesNotCount", func(b *behaviour) {
		b.next = func(q *Queue) (time.Time, <-chan struct{}) {
			var limit int
			q.inside(func() { limit, q.limit = q.limit, 0 })
			due, changed := q.Next()
			q.inside(func() { q.limit = limit })
			return due, changed
		}
	}},
	{"the next time is now whatever is due", "Living/Next/EarliestOfAll Living/Next/NothingToWaitFor", func(b *behaviour) {
		b.next = func(q *Queue) (time.Time, <-chan struct{}) {
			_, changed := q.Next()
			return q.Now(), changed
		}
	}},
}
