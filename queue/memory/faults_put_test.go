package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/queue"
)

// putWith changes a copy of a message before it is put.
func putWith(f func(*queue.Message)) func(*behaviour) {
	return func(b *behaviour) {
		b.put = func(q *Queue, ctx context.Context, m *queue.Message) (queue.ID, error) {
			c := *m
			c.Envelope.Recipients = slices.Clone(m.Envelope.Recipients)
			f(&c)
			return q.Put(ctx, &c)
		}
	}
}

// putThen changes a message when it was put.
func putThen(f func(q *Queue, h *held)) func(*behaviour) {
	return func(b *behaviour) {
		b.put = func(q *Queue, ctx context.Context, m *queue.Message) (queue.ID, error) {
			id, err := q.Put(ctx, m)
			if err == nil {
				q.inside(func() { f(q, q.messages[id]) })
			}
			return id, err
		}
	}
}

var putFaults = []fault{
	{"a message loses its prefix", "Living/Put/ClaimReturnsWhatWasPut Durable/Acknowledged/Put", putWith(func(m *queue.Message) { m.Prefix = nil })},
	{"a message loses its last octet", "Living/Put/ClaimReturnsWhatWasPut Living/Put/LargeContentIsWhole Durable/Acknowledged/PutOneByOne", putThen(func(_ *Queue, h *held) {
		h.body = content(h.body.(content)[:max(h.body.Size()-1, 0)])
	})},
	{"a message gets other ends of lines", "Living/Put/ClaimReturnsWhatWasPut", putThen(func(_ *Queue, h *held) {
		h.body = content(bytes.ReplaceAll(h.body.(content), []byte("\r\n"), []byte("\n")))
	})},
	{"a message loses the options of its recipients", "Living/Put/ClaimReturnsWhatWasPut Durable/Acknowledged/Put", putWith(func(m *queue.Message) {
		for i := range m.Envelope.Recipients {
			m.Envelope.Recipients[i] = mail.Recipient{To: m.Envelope.Recipients[i].To}
		}
	})},
	{"a message loses its session", "Living/Put/ClaimReturnsWhatWasPut", putWith(func(m *queue.Message) { m.Session = "" })},
	{"a message was received when it was put", "Living/Put/ClaimReturnsWhatWasPut", putWith(func(m *queue.Message) { m.Received = time.Time{} })},
	{"a message is due at once", "Living/Put/NotBeforeDelaysTheFirstAttempt Durable/Acknowledged/NotBefore", putWith(func(m *queue.Message) { m.NotBefore = time.Time{} })},
	{"a message that breaks the rules is taken", "Living/Put/BadMessagesAreRefused", putWith(func(m *queue.Message) {
		if m.Check() != nil {
			m.Destinations = slices.Repeat([]string{"somewhere"}, len(m.Envelope.Recipients))
		}
	})},
	{"given destinations are ignored", "Living/Put/GivenDestinationsGroup", putWith(func(m *queue.Message) { m.Destinations = nil })},
	{"domains are told apart by letter case", "Living/Put/DomainsCompareByKey", putWith(func(m *queue.Message) {
		for _, r := range m.Envelope.Recipients {
			if m.Destinations == nil || len(m.Destinations) < len(m.Envelope.Recipients) {
				m.Destinations = append(m.Destinations, cmp.Or(r.To.Domain(), "-"))
			}
		}
	})},
	{"a message is put though the context has ended", "Living/Put/EndedContextStoresNothing", func(b *behaviour) {
		b.put = func(q *Queue, ctx context.Context, m *queue.Message) (queue.ID, error) {
			return q.Put(context.WithoutCancel(ctx), m)
		}
	}},
	{"an ID is given again when the queue is empty", "Living/Put/IDsDifferForEver Durable/Acknowledged/IDsNeverRepeat", func(b *behaviour) {
		b.settle = func(q *Queue, ctx context.Context, c queue.Claim, outcomes []queue.Outcome) error {
			err := q.Settle(ctx, c, outcomes)
			q.inside(func() {
				if len(q.messages) == 0 {
					q.lastID = 0
				}
			})
			return err
		}
	}},
	{"nobody is told of a message that was put", "Living/Next/PutTells Living/Next/AnEarlierPutTells", func(b *behaviour) {
		b.put = func(q *Queue, ctx context.Context, m *queue.Message) (queue.ID, error) {
			var told chan struct{}
			q.inside(func() { told, q.changed = q.changed, make(chan struct{}) })
			id, err := q.Put(ctx, m)
			q.inside(func() { q.changed = told })
			return id, err
		}
	}},
}

// claimThen changes claims before they are returned.
func claimThen(f func(q *Queue, claims []queue.Claim) []queue.Claim) func(*behaviour) {
	return func(b *behaviour) {
		b.claim = func(q *Queue, ctx context.Context, n int, lease time.Duration) ([]queue.Claim, error) {
			claims, err := q.Claim(ctx, n, lease)
			q.inside(func() { claims = f(q, claims) })
			return claims, err
		}
	}
}

// claimAfter puts the lines in another order while a claim is made.
func claimAfter(f func(q *Queue, line []*recipient)) func(*behaviour) {
	return func(b *behaviour) {
		b.claim = func(q *Queue, ctx context.Context, n int, lease time.Duration) ([]queue.Claim, error) {
			q.inside(func() {
				q.expire(q.Now())
				for _, d := range q.destinations {
					f(q, d.waiting)
				}
			})
			claims, err := q.Claim(ctx, n, lease)
			q.inside(func() {
				for _, d := range q.destinations {
					slices.SortFunc(d.waiting, order)
				}
			})
			return claims, err
		}
	}
}

var claimFaults = []fault{
	{"what is claimed can be claimed again", "Living/Claim/ClaimedIsNotClaimedAgain Living/Concurrent/ClaimersNeverShare", claimThen(func(q *Queue, claims []queue.Claim) []queue.Claim {
		for _, c := range claims {
			for _, r := range q.leases[c.Lease].recipients {
				q.wait(r)
			}
		}
		return claims
	})},
	{"a claim gives more than was asked for", "Living/Claim/ZeroAsksForNone Living/Fair/DestinationsTakeTurnsInOneClaim", func(b *behaviour) {
		b.claim = func(q *Queue, ctx context.Context, n int, lease time.Duration) ([]queue.Claim, error) {
			return q.Claim(ctx, n+1, lease)
		}
	}},
	{"a claim gives one at most", "Living/Claim/MessagesAreNeverMixed Living/Fair/DestinationsTakeTurnsInOneClaim", func(b *behaviour) {
		b.claim = func(q *Queue, ctx context.Context, n int, lease time.Duration) ([]queue.Claim, error) {
			return q.Claim(ctx, min(n, 1), lease)
		}
	}},
	{"the last put of a destination comes first", "Living/Claim/EqualDueTimesKeepTheOrderOfPut Living/Lease/ComesBackInItsOrder Durable/Acknowledged/PutOneByOne", claimAfter(func(_ *Queue, line []*recipient) { slices.Reverse(line) })},
	{"the first put of a destination comes first, whatever is due", "Living/Claim/EarliestDueOfADestinationComesFirst", claimAfter(func(_ *Queue, line []*recipient) {
		slices.SortFunc(line, func(a, b *recipient) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.index, b.index)) })
	})},
	{"one destination is served until it is empty", "Living/Fair/DestinationsTakeTurnsOverClaims Living/Fair/DestinationsTakeTurnsInOneClaim Living/Fair/ACrowdedDestinationDelaysNoOther", func(b *behaviour) {
		b.claim = func(q *Queue, ctx context.Context, n int, lease time.Duration) (claims []queue.Claim, err error) {
			for range n {
				q.inside(func() {
					for _, d := range q.destinations {
						d.turn = 0
					}
				})
				one, err := q.Claim(ctx, 1, lease)
				if err != nil || len(one) == 0 {
					return claims, err
				}
				claims = append(claims, one...)
			}
			_, err = q.Claim(ctx, 0, lease)
			return claims, err
		}
	}},
	{"destinations take turns in one claim only", "Living/Fair/DestinationsTakeTurnsOverClaims", claimThen(func(q *Queue, claims []queue.Claim) []queue.Claim {
		for _, d := range q.destinations {
			d.turn = 0
		}
		return claims
	})},
	{"recipients of one message are claimed one by one", "Living/Claim/GroupsOneMessageAndOneDestination Living/Settle/RecipientsRetriedTogetherStayTogether", func(b *behaviour) {
		one := putThen(func(q *Queue, h *held) {
			for i, r := range h.recipients {
				q.leave(r)
				r.next = r.next.Add(-time.Duration(len(h.recipients) - i))
				q.wait(r)
			}
		})
		one(b)
		b.settle = func(q *Queue, ctx context.Context, c queue.Claim, outcomes []queue.Outcome) error {
			apart := slices.Clone(outcomes)
			for i := range apart {
				if !apart[i].Retry.IsZero() {
					apart[i].Retry = apart[i].Retry.Add(-time.Duration(len(apart) - i))
				}
			}
			return q.Settle(ctx, c, apart)
		}
	}},
	{"a claim mixes messages", "Living/Claim/MessagesAreNeverMixed", claimThen(func(_ *Queue, claims []queue.Claim) []queue.Claim {
		if len(claims) == 2 && claims[0].Destination == claims[1].Destination {
			claims[0].Envelope.Recipients = append(claims[0].Envelope.Recipients, claims[1].Envelope.Recipients...)
		}
		return claims
	})},
	{"claims have one name", "Living/Claim/LeasesHaveDifferentNames", claimThen(func(_ *Queue, claims []queue.Claim) []queue.Claim {
		for i := range claims {
			claims[i].Lease = claims[0].Lease
		}
		return claims
	})},
	{"what is not due can be claimed", "Living/Settle/RetryComesAtItsTime Living/Put/NotBeforeDelaysTheFirstAttempt Durable/Acknowledged/SettleForLater", func(b *behaviour) {
		b.claim = func(q *Queue, ctx context.Context, n int, lease time.Duration) ([]queue.Claim, error) {
			if _, err := q.Retry(ctx, nil); err != nil {
				return nil, err
			}
			return q.Claim(ctx, n, lease)
		}
	}},
	{"a claim is given though the context has ended", "Living/Put/EndedContextStoresNothing", func(b *behaviour) {
		b.claim = func(q *Queue, ctx context.Context, n int, lease time.Duration) ([]queue.Claim, error) {
			return q.Claim(context.WithoutCancel(ctx), n, lease)
		}
	}},
}
