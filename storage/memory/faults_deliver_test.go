package memory

import (
	"bytes"
	"context"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// deliverWith changes a copy of a delivery before it is made.
func deliverWith(f func(*storage.Delivery)) func(*behaviour) {
	return func(b *behaviour) {
		b.deliver = func(s *Store, ctx context.Context, d *storage.Delivery) ([]storage.Receipt, error) {
			c := *d
			c.Targets = append([]storage.Target(nil), d.Targets...)
			f(&c)
			return s.Deliver(ctx, &c)
		}
	}
}

// appendWith changes copies of messages before they are appended.
func appendWith(f func(*storage.NewMessage)) func(*behaviour) {
	return func(b *behaviour) {
		b.append = func(m *mailbox, ctx context.Context, msgs ...storage.NewMessage) ([]imap.UID, error) {
			msgs = append([]storage.NewMessage(nil), msgs...)
			for i := range msgs {
				f(&msgs[i])
			}
			return m.Append(ctx, msgs...)
		}
	}
}

// text reads a body; it is what it was if it can't be read.
func text(b message.Body, f func([]byte) []byte) message.Body {
	data, err := io.ReadAll(message.NewReader(b))
	if err != nil {
		return b
	}
	return message.FromBytes(f(data))
}

var deliverFaults = []fault{
	{"a delivery stores its first target twice", "Living/Deliver/ToInboxOfANewAccount", func(b *behaviour) {
		b.deliver = func(s *Store, ctx context.Context, d *storage.Delivery) ([]storage.Receipt, error) {
			if len(d.Targets) > 0 {
				again := *d
				again.Targets = d.Targets[:1]
				if r, err := s.Deliver(ctx, &again); err != nil {
					return r, err
				}
			}
			return s.Deliver(ctx, d)
		}
	}},
	{"two targets that are one mailbox give one message", "Living/Deliver/EachTargetHasItsPrefixFlagsAndTheSameDate", func(b *behaviour) {
		b.deliver = func(s *Store, ctx context.Context, d *storage.Delivery) ([]storage.Receipt, error) {
			one, at := *d, make(map[string]int)
			var place []int
			one.Targets = nil
			for _, t := range d.Targets {
				key := t.User + " " + t.Mailbox
				if _, ok := at[key]; !ok {
					at[key] = len(one.Targets)
					one.Targets = append(one.Targets, t)
				}
				place = append(place, at[key])
			}
			some, err := s.Deliver(ctx, &one)
			if err != nil {
				return nil, err
			}
			r := make([]storage.Receipt, len(place))
			for i, p := range place {
				r[i] = some[p]
			}
			return r, nil
		}
	}},
	{"a bad target stops those after it", "Living/Deliver/ABadTargetStopsNoOther", func(b *behaviour) {
		b.deliver = func(s *Store, ctx context.Context, d *storage.Delivery) ([]storage.Receipt, error) {
			r := make([]storage.Receipt, len(d.Targets))
			for i := range d.Targets {
				one := *d
				one.Targets = d.Targets[i : i+1]
				done, err := s.Deliver(ctx, &one)
				if err != nil {
					return nil, err
				}
				if r[i] = done[0]; r[i].Err != nil {
					for j := range r[i:] {
						r[i+j].Err = r[i].Err
					}
					break
				}
			}
			return r, nil
		}
	}},
	{"all targets get the first one's prefix", "Living/Deliver/EachTargetHasItsPrefixFlagsAndTheSameDate Living/Content/IndexFitsWhatOpenGives", deliverWith(func(d *storage.Delivery) {
		for i := range d.Targets {
			d.Targets[i].Prefix = d.Targets[0].Prefix
		}
	})},
	{"all targets get the last one's flags", "Living/Deliver/EachTargetHasItsPrefixFlagsAndTheSameDate", deliverWith(func(d *storage.Delivery) {
		for i := range d.Targets {
			d.Targets[i].Flags = d.Targets[len(d.Targets)-1].Flags
		}
	})},
	{"the date of a delivery is when it is stored", "Living/Deliver/EachTargetHasItsPrefixFlagsAndTheSameDate", deliverWith(func(d *storage.Delivery) { d.Date = time.Time{} })},
	{"the size of a message is without its prefix", "Living/Deliver/EachTargetHasItsPrefixFlagsAndTheSameDate", func(b *behaviour) {
		b.deliver = func(s *Store, ctx context.Context, d *storage.Delivery) ([]storage.Receipt, error) {
			r, err := s.Deliver(ctx, d)
			s.inside(func() {
				s.eachBox(func(m *mailbox) {
					for i := range m.messages {
						m.messages[i].Size = min(m.messages[i].Size, d.Body.Size())
					}
				})
			})
			return r, err
		}
	}},
	{"a mailbox that a delivery makes is not subscribed", "Living/Deliver/MakesMailboxesWithTheirParents", func(b *behaviour) {
		b.deliver = func(s *Store, ctx context.Context, d *storage.Delivery) ([]storage.Receipt, error) {
			r, err := s.Deliver(ctx, d)
			s.inside(func() {
				for _, t := range d.Targets {
					if a := s.accounts[t.User]; a != nil && t.Create {
						delete(a.subs, t.Mailbox)
					}
				}
			})
			return r, err
		}
	}},
	{"a delivery makes what is missing though it was not told to", "Living/Deliver/ABadTargetStopsNoOther", deliverWith(func(d *storage.Delivery) {
		for i := range d.Targets {
			d.Targets[i].Create = true
		}
	})},
	{"a delivery goes on when its context has ended", "Living/Deliver/ACancelledContextStoresNothing", func(b *behaviour) {
		b.deliver = func(s *Store, ctx context.Context, d *storage.Delivery) ([]storage.Receipt, error) {
			return s.Deliver(context.WithoutCancel(ctx), d)
		}
	}},
	{"a delivery loses the last octet", "Living/Deliver/ToInboxOfANewAccount Durable/Acknowledged/Deliver", deliverWith(func(d *storage.Delivery) {
		d.Body = text(d.Body, func(p []byte) []byte { return p[:max(len(p)-1, 0)] })
	})},
	{"a delivery is cut at a megabyte", "Living/Content/ALargeMessage", deliverWith(func(d *storage.Delivery) {
		d.Body = text(d.Body, func(p []byte) []byte { return p[:min(len(p), 1<<20)] })
	})},
	{"a delivery keeps the caller's body", "Living/Content/ABodyIsCopied", func(b *behaviour) {
		b.deliver = func(s *Store, ctx context.Context, d *storage.Delivery) ([]storage.Receipt, error) {
			r, err := s.Deliver(ctx, d)
			s.inside(func() {
				s.eachBox(func(m *mailbox) {
					for i := range m.messages {
						m.messages[i].body = message.Join(d.Targets[0].Prefix, d.Body)
					}
				})
			})
			return r, err
		}
	}},
	{"a delivery's index leaves out the prefix", "Living/Content/IndexFitsWhatOpenGives Living/Content/AnIndexTellsOfFieldsInThePrefix", func(b *behaviour) {
		b.deliver = func(s *Store, ctx context.Context, d *storage.Delivery) ([]storage.Receipt, error) {
			index, err := message.Parse(d.Body, message.Limits{})
			if err != nil {
				return nil, err
			}
			r, err := s.Deliver(ctx, d)
			s.inside(func() {
				s.eachBox(func(m *mailbox) {
					for i := range m.messages {
						m.messages[i].index = index
					}
				})
			})
			return r, err
		}
	}},
}

var appendFaults = []fault{
	{"half of an append stays after an error", "Living/Append/AllOrNone", func(b *behaviour) {
		b.append = func(m *mailbox, ctx context.Context, msgs ...storage.NewMessage) (given []imap.UID, err error) {
			for _, msg := range msgs {
				uids, err := m.Append(ctx, msg)
				if err != nil {
					return nil, err
				}
				given = append(given, uids...)
			}
			return given, nil
		}
	}},
	{"messages of one append can be seen one by one", "Living/Concurrent/ChangesAreSeenWhole", func(b *behaviour) {
		b.append = func(m *mailbox, ctx context.Context, msgs ...storage.NewMessage) (given []imap.UID, err error) {
			for _, msg := range msgs {
				uids, err := m.Append(ctx, msg)
				if err != nil {
					return nil, err
				}
				given = append(given, uids...)
				time.Sleep(time.Millisecond)
			}
			return given, nil
		}
	}},
	{"an append loses the last octet", "Living/Append/KeepsFlagsDateAndOctets Durable/Acknowledged/Append", appendWith(func(msg *storage.NewMessage) {
		if msg.Body != nil {
			msg.Body = text(msg.Body, func(p []byte) []byte { return p[:max(len(p)-1, 0)] })
		}
	})},
	{"an append repairs the ends of lines", "Living/Append/KeepsFlagsDateAndOctets", appendWith(func(msg *storage.NewMessage) {
		msg.Body = text(msg.Body, func(p []byte) []byte {
			return bytes.ReplaceAll(bytes.ReplaceAll(p, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		})
	})},
	{"an append loses flags", "Living/Append/KeepsFlagsDateAndOctets", appendWith(func(msg *storage.NewMessage) { msg.Flags.System &^= storage.Draft })},
	{"an append loses the letter case of keywords", "Living/Append/KeepsFlagsDateAndOctets", appendWith(func(msg *storage.NewMessage) {
		var names []imap.Flag
		for _, k := range msg.Flags.Names() {
			names = append(names, imap.Flag(strings.ToLower(string(k))))
		}
		msg.Flags = storage.NewFlags(names...)
	})},
	{"an append loses the zone of the date", "Living/Append/KeepsFlagsDateAndOctets Living/Append/DatesFarAway", appendWith(func(msg *storage.NewMessage) { msg.Date = msg.Date.UTC() })},
	{"messages of one append get descending UIDs", "Living/Append/ManyAtOnceAreOneChangeInOrder", func(b *behaviour) {
		b.append = func(m *mailbox, ctx context.Context, msgs ...storage.NewMessage) ([]imap.UID, error) {
			turned := make([]storage.NewMessage, len(msgs))
			for i := range msgs {
				turned[len(msgs)-1-i] = msgs[i]
			}
			return m.Append(ctx, turned...)
		}
	}},
	{"an append of nothing is a change", "Living/Append/NothingIsNothing", func(b *behaviour) {
		b.append = func(m *mailbox, ctx context.Context, msgs ...storage.NewMessage) ([]imap.UID, error) {
			uids, err := m.Append(ctx, msgs...)
			if len(msgs) == 0 {
				m.account.store.inside(m.changed)
			}
			return uids, err
		}
	}},
	{"an append goes on when its context has ended", "Living/Append/AllOrNone", func(b *behaviour) {
		b.append = func(m *mailbox, ctx context.Context, msgs ...storage.NewMessage) ([]imap.UID, error) {
			return m.Append(context.WithoutCancel(ctx), msgs...)
		}
	}},
}
