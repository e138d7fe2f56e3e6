package memory

import (
	"context"
	"slices"
	"time"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
)

// listWith changes the entries of a list.
func listWith(f func([]queue.Entry) []queue.Entry) func(*behaviour) {
	return func(b *behaviour) {
		b.list = func(q *Queue, ctx context.Context, yield func(queue.Entry) bool) error {
			entries, err := q.entries(ctx)
			for _, e := range f(entries) {
				if !yield(e) {
					break
				}
			}
			return err
		}
	}
}

var powerFaults = []fault{
	{"the limit of a destination is ignored", "Living/Fair/ADestinationAtItsLimitDelaysNoOther Living/Fair/ALimitCanBeLifted", func(b *behaviour) { b.limit = func(*Queue, int) {} }},
	{"a limit can't be lifted", "Living/Fair/ALimitCanBeLifted", func(b *behaviour) {
		b.limit = func(q *Queue, n int) {
			if q.limit == 0 {
				q.Limit(n)
			}
		}
	}},
	{"a limit is of all destinations together", "Living/Fair/ADestinationAtItsLimitDelaysNoOther", func(b *behaviour) {
		limit := 0
		b.limit = func(_ *Queue, n int) { limit = n }
		b.claim = func(q *Queue, ctx context.Context, n int, lease time.Duration) ([]queue.Claim, error) {
			if limit > 0 {
				n = min(n, max(limit-len(q.leases), 0))
			}
			return q.Claim(ctx, n, lease)
		}
	}},
	{"a list is sorted by address", "Living/Powers/ListShowsEveryRecipientByMessage", listWith(func(list []queue.Entry) []queue.Entry {
		slices.SortFunc(list, func(a, b queue.Entry) int { return len(a.To.String()) - len(b.To.String()) + int(b.ID) - int(a.ID) })
		return list
	})},
	{"a list has one recipient of a message", "Living/Powers/ListShowsEveryRecipientByMessage", listWith(func(list []queue.Entry) []queue.Entry {
		return slices.CompactFunc(list, func(a, b queue.Entry) bool { return a.ID == b.ID })
	})},
	{"a list leaves out what is claimed", "Living/Powers/ListShowsEveryRecipientByMessage", listWith(func(list []queue.Entry) []queue.Entry {
		return slices.DeleteFunc(list, func(e queue.Entry) bool { return e.Claimed })
	})},
	{"a list goes on when it is told to stop", "Living/Powers/ListStopsWhenToldTo", func(b *behaviour) {
		b.list = func(q *Queue, ctx context.Context, yield func(queue.Entry) bool) error {
			return q.List(ctx, func(e queue.Entry) bool { yield(e); return true })
		}
	}},
	{"the content of a message can be had when it is gone", "Living/Settle/ContentStaysUntilTheLastRecipient Living/Powers/ContentOfAMessageThatIsNotQueued", func(b *behaviour) {
		b.content = func(q *Queue, ctx context.Context, id queue.ID) (message.OpenBody, error) {
			if c, err := q.Content(ctx, id); err == nil {
				return c, nil
			}
			return content{}, ctx.Err()
		}
	}},
	{"a retry of some is of all", "Living/Powers/RetryOfSomeMessages", func(b *behaviour) {
		b.retry = func(q *Queue, ctx context.Context, _ []queue.ID) (int, error) { return q.Retry(ctx, nil) }
	}},
	{"a retry of all is of none", "Living/Powers/RetryOfAllLeavesWhatIsDueOrClaimed Living/Next/WakeAndRetryTell", func(b *behaviour) {
		b.retry = func(q *Queue, ctx context.Context, ids []queue.ID) (int, error) {
			return q.Retry(ctx, append([]queue.ID{}, ids...))
		}
	}},
	{"a retry counts what is due", "Living/Powers/RetryOfAllLeavesWhatIsDueOrClaimed", func(b *behaviour) {
		b.retry = func(q *Queue, ctx context.Context, ids []queue.ID) (n int, err error) {
			q.inside(func() { q.each(func(*recipient) { n++ }) })
			_, err = q.Retry(ctx, ids)
			return n, err
		}
	}},
	{"a wake is of all destinations", "Living/Powers/WakeOfOneDestination", func(b *behaviour) {
		b.wake = func(q *Queue, ctx context.Context, _ string) (int, error) { return q.Retry(ctx, nil) }
	}},
	{"a wake is of the first message only", "Living/Powers/WakeOfOneDestination", func(b *behaviour) {
		b.wake = func(q *Queue, ctx context.Context, destination string) (int, error) {
			var ids []queue.ID
			q.inside(func() {
				q.each(func(r *recipient) {
					if r.destination == destination && len(ids) == 0 {
						ids = append(ids, r.id)
					}
				})
			})
			return q.Retry(ctx, append([]queue.ID{}, ids...))
		}
	}},
	{"what is claimed can be removed", "Living/Powers/RemoveDropsAllButTheClaimed", func(b *behaviour) {
		b.remove = func(q *Queue, ctx context.Context, ids []queue.ID) (n int, err error) {
			n, err = q.Remove(ctx, ids)
			q.inside(func() {
				for _, id := range ids {
					if h := q.messages[id]; h != nil {
						n += len(h.recipients)
						delete(q.messages, id)
					}
				}
			})
			return n, err
		}
	}},
	{"a removal of none is of all", "Living/Powers/RemoveDropsAllButTheClaimed", func(b *behaviour) {
		b.remove = func(q *Queue, ctx context.Context, ids []queue.ID) (int, error) {
			if ids == nil {
				q.inside(func() { q.each(func(r *recipient) { ids = append(ids, r.id) }) })
			}
			return q.Remove(ctx, ids)
		}
	}},
}
