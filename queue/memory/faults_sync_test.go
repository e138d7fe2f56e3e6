package memory

import (
	"context"
	"time"

	"github.com/posthouse-mail/posthouse/queue"
)

// early makes a method return before what it did is durable.
func early(method string) func(*behaviour) {
	return func(b *behaviour) { b.unsynced[method] = true }
}

// aMoment is what a crash needs to come between two syncs.
func (b *behaviour) aMoment() {
	b.sync()
	time.Sleep(time.Millisecond)
}

var syncFaults = []fault{
	{"Put returns before the sync", "Durable/Acknowledged/Put Durable/Acknowledged/PutOneByOne Durable/Whole/Puts", early("Put")},
	{"Settle returns before the sync", "Durable/Acknowledged/SettleForGood Durable/Acknowledged/SettleForLater Durable/Acknowledged/SettleOneByOne Durable/Whole/SettlesForLater", early("Settle")},
	{"Retry returns before the sync", "Durable/Acknowledged/Retry", early("Retry")},
	{"Wake returns before the sync", "Durable/Acknowledged/Wake", early("Wake")},
	{"Remove returns before the sync", "Durable/Acknowledged/Remove", early("Remove")},
	{"a message is synced recipient by recipient", "Durable/Whole/Puts", func(b *behaviour) {
		b.put = func(q *Queue, ctx context.Context, m *queue.Message) (queue.ID, error) {
			id, err := q.Put(ctx, m)
			if err != nil {
				return id, err
			}
			var all []*recipient
			q.inside(func() {
				all = q.messages[id].recipients
				q.messages[id].recipients = nil
			})
			for _, r := range all {
				q.inside(func() { r.recipients = append(r.recipients, r) })
				b.aMoment()
			}
			return id, nil
		}
	}},
	{"outcomes are synced one by one", "Durable/Whole/SettlesOfSome Durable/Whole/SettlesOfTheLast", func(b *behaviour) {
		b.settle = func(q *Queue, ctx context.Context, c queue.Claim, outcomes []queue.Outcome) error {
			for i, o := range outcomes {
				q.inside(func() {
					if l := q.leases[c.Lease]; l != nil && o.Done {
						q.remove(l.recipients[i])
					}
				})
				b.aMoment()
			}
			return q.Settle(ctx, c, outcomes)
		}
	}},
}

// restarted changes every recipient that is found after a crash.
func restarted(f func(*recipient)) func(*behaviour) {
	return func(b *behaviour) { b.restart = func(q *Queue) { q.all(f) } }
}

var restartFaults = []fault{
	{"after a crash what was claimed is gone", "Durable/Acknowledged/ALostClaim", func(b *behaviour) {
		claimed := make(map[queue.ID]bool)
		b.claim = func(q *Queue, ctx context.Context, n int, lease time.Duration) ([]queue.Claim, error) {
			claims, err := q.Claim(ctx, n, lease)
			for _, c := range claims {
				claimed[c.ID] = true
			}
			return claims, err
		}
		b.restart = func(q *Queue) {
			q.each(func(r *recipient) {
				if claimed[r.id] {
					q.leave(r)
					q.remove(r)
				}
			})
		}
	}},
	{"after a crash what waits is due at once", "Durable/Acknowledged/NotBefore Durable/Acknowledged/SettleForLater", func(b *behaviour) {
		b.restart = func(q *Queue) { q.all(func(r *recipient) { r.next = q.Now() }) }
	}},
	{"after a crash attempts begin anew", "Durable/Acknowledged/SettleForLater Durable/Acknowledged/SettleSome", restarted(func(r *recipient) { r.state = queue.State{} })},
	{"after a crash IDs begin anew", "Durable/Acknowledged/IDsNeverRepeat", func(b *behaviour) {
		b.restart = func(q *Queue) {
			q.lastID = 0
			for id := range q.messages {
				q.lastID = max(q.lastID, id)
			}
		}
	}},
	{"after a crash content is torn", "Durable/Acknowledged/Put Durable/Acknowledged/PutOneByOne Durable/Acknowledged/EverythingThatCouldBeSeen", restarted(func(r *recipient) {
		r.body = r.body.(content)[:r.body.Size()/2]
	})},
	{"after a crash the order of put is lost", "Durable/Acknowledged/PutOneByOne", func(b *behaviour) {
		b.restart = func(q *Queue) { q.all(func(r *recipient) { r.next = r.next.Add(-time.Duration(r.id)) }) }
	}},
	{"after a crash what was settled comes back", "Durable/Acknowledged/SettleForGood Durable/Acknowledged/SettleSome Durable/Acknowledged/SettleOneByOne", func(b *behaviour) {
		put := make(map[queue.ID][]*recipient)
		b.put = func(q *Queue, ctx context.Context, m *queue.Message) (queue.ID, error) {
			id, err := q.Put(ctx, m)
			if err == nil {
				q.inside(func() { put[id] = append([]*recipient(nil), q.messages[id].recipients...) })
			}
			return id, err
		}
		b.restart = func(q *Queue) {
			for id, all := range put {
				h := *all[0].held
				h.recipients = nil
				for _, r := range all {
					s := *r
					s.held = &h
					h.recipients = append(h.recipients, &s)
				}
				if had := q.messages[id]; had != nil {
					for _, r := range had.recipients {
						q.leave(r)
					}
				}
				q.messages[id] = &h
				for _, r := range h.recipients {
					q.wait(r)
				}
			}
		}
	}},
}
