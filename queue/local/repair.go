package local

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/posthouse-mail/posthouse/internal/engine"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// Repairs says how to repair.
type Repairs struct {
	DropDamaged bool                             // messages of which the content is damaged are dropped; otherwise they stay as they are
	Done        func(storagelocal.Damage, error) // nil: nobody wants to know; called after each repair with how it went
}

// errClaimed says that a queue is in use.
var errClaimed = errors.New("recipients are claimed")

// remedyOf says what Repair does about a kind of damage.
func remedyOf(k storagelocal.DamageKind) string {
	switch k {
	case DamageKey, DamageEntry:
		return "removes it"
	case DamageMessage, DamageNoMessage:
		return "goes on with the recipients that can be read, as from the null sender; without any, the content is kept in the account recovered"
	case DamageRecipient:
		return "drops the recipient; after the last, the content is kept in the account recovered"
	case DamageCount:
		return "counts again"
	case DamageNoEntry:
		return "makes it wait there"
	case DamageNoContent:
		return "drops the message"
	case DamageContentSize:
		return "notes the size that it has"
	case DamageContentDamaged:
		return "nothing, unless damaged messages are to be dropped"
	}
	return ""
}

// repairRounds is how often Repair looks again for what its repairs have shown.
const repairRounds = 4

// Repair mends what Inspect finds, with as little loss as can be, each message
// as one durable change. What can't be mended stays. Nobody may have a claim
// meanwhile, nor change the queue. The store is to be checked afterwards:
// contents that no recipient is known of any more are left to it.
func (q *Queue) Repair(ctx context.Context, o Repairs) error {
	if err := q.ready(ctx); err != nil {
		return err
	}
	q.mu.Lock()
	claimed := len(q.schedule.leases)
	q.mu.Unlock()
	if claimed > 0 {
		return errClaimed
	}
	for range repairRounds {
		r := repairer{q: q, Repairs: o, messages: make(map[engine.BlobID][]storagelocal.Damage)}
		if _, err := q.Inspect(ctx, Inspection{of: r.plan}); err != nil {
			return err
		}
		if n, err := r.run(ctx); err != nil || n == 0 {
			return errors.Join(err, q.reload())
		}
	}
	return q.reload()
}

// reload forgets what memory knows of the queue, and learns it again.
func (q *Queue) reload() error {
	s := newSchedule()
	err := q.load(s)
	q.update(func(old *schedule, _ int64) {
		s.limit = old.limit
		q.schedule = s
	})
	return err
}

// repairer is one round of a repair.
type repairer struct {
	q *Queue
	Repairs
	messages map[engine.BlobID][]storagelocal.Damage
	keys     []keyDamage
}

type keyDamage struct {
	key string
	storagelocal.Damage
}

// maxPlan is how many damages are repaired in one round.
const maxPlan = 100_000

func (r *repairer) plan(d storagelocal.Damage, of target) {
	switch {
	case len(r.messages)+len(r.keys) >= maxPlan, d.Kind == DamageContentDamaged && !r.DropDamaged:
	case of.key != "":
		r.keys = append(r.keys, keyDamage{of.key, d})
	default:
		r.messages[of.id] = append(r.messages[of.id], d)
	}
}

// run repairs messages first: entries of nobody may be somebody's then, and
// are looked at again. It returns how many damages it repaired.
func (r *repairer) run(ctx context.Context) (n int, err error) {
	for id, list := range r.messages {
		err := r.message(ctx, id, list)
		n += r.done(list, err)
		if ctx.Err() != nil {
			return n, ctx.Err()
		}
	}
	for len(r.messages) == 0 && len(r.keys) > 0 {
		batch := r.keys[:min(len(r.keys), pageSize)]
		r.keys = r.keys[len(batch):]
		err := r.q.commit(ctx, &engine.Change{Build: func(tx *engine.Tx) error {
			for _, k := range batch {
				tx.Delete([]byte(k.key))
			}
			return nil
		}})
		for _, k := range batch {
			n += r.done([]storagelocal.Damage{k.Damage}, err)
		}
		if ctx.Err() != nil {
			return n, ctx.Err()
		}
	}
	return n, nil
}

func (r *repairer) done(list []storagelocal.Damage, err error) (n int) {
	for _, d := range list {
		if err == nil {
			n++
		}
		if r.Done != nil {
			r.Done(d, err)
		}
	}
	return n
}

// message mends all of one message as one change.
func (r *repairer) message(ctx context.Context, id engine.BlobID, list []storagelocal.Damage) error {
	m := mend{id: id, now: r.q.now(), size: -1, recipients: make(map[uint32]*recipient)}
	body, err := r.q.engine.Open(id)
	switch {
	case err == nil:
		m.there, m.size = true, body.Size()
		if err = body.Close(); err != nil {
			return err
		}
	case errors.Is(err, engine.ErrNoBlob):
	case errors.Is(err, engine.ErrDamaged):
		m.there = true
	default:
		return err
	}
	m.drop = slices.ContainsFunc(list, func(d storagelocal.Damage) bool { return d.Kind == DamageContentDamaged })
	return r.q.commit(ctx, &engine.Change{Build: m.build})
}

// mend is the repair of one message.
type mend struct {
	id    engine.BlobID
	now   int64
	there bool  // its content is
	size  int64 // of it; -1: nobody knows
	drop  bool  // it is dropped, with its content

	envelope   *envelope // nil: it can't be read
	recipients map[uint32]*recipient
	keys       [][]byte // all that there is of it
}

func (m *mend) build(tx *engine.Tx) error {
	if err := m.read(tx); err != nil {
		return err
	}
	for _, k := range m.keys {
		tx.Delete(k)
	}
	switch {
	case m.drop || !m.there:
		for number, r := range m.recipients {
			tx.Delete(entryKey(r.destination, entry{r.due, m.id, number}))
		}
		if m.there && m.envelope != nil {
			tx.Ref(m.id, -1)
		}
		return nil
	case len(m.recipients) == 0:
		return nil // the store keeps the content
	}
	return m.write(tx)
}

func (m *mend) read(tx *engine.Tx) error {
	return tx.Scan(messageKey(m.id), append(recipientKey(m.id, leftNumber), 0), func(k, v []byte) error {
		m.keys = append(m.keys, append([]byte(nil), k...))
		n, whole, ok := parseMessageKey(k)
		switch {
		case !ok, n.number == leftNumber:
		case whole:
			e, only, err := decodeMessage(v)
			if err != nil {
				return nil
			}
			m.envelope = e
			if only != nil {
				m.recipients[0] = only
			}
		default:
			if r, err := decodeRecipient(v); err == nil {
				m.recipients[n.number] = r
			}
		}
		return nil
	})
}

// write writes what is known of the message.
func (m *mend) write(tx *engine.Tx) error {
	e := m.envelope
	if e == nil {
		e = &envelope{received: m.now}
	}
	if m.size >= 0 {
		e.size = m.size
	}
	only := m.recipients[0]
	single := len(m.recipients) == 1 && only != nil && only.message != nil
	if !single {
		e.total = max(e.total, uint32(len(m.recipients)), 2)
		b, err := e.appendTo(nil)
		if err != nil {
			return err
		}
		tx.Set(messageKey(m.id), b)
		tx.Set(recipientKey(m.id, leftNumber), encodeLeft(len(m.recipients)))
	}
	for number, r := range m.recipients {
		if !single {
			r.message = nil
		}
		b, err := r.encode()
		if err != nil {
			return fmt.Errorf("message %d: %w", m.id, err)
		}
		tx.Set(r.key(name{m.id, number}), b)
		tx.Set(entryKey(r.destination, entry{r.due, m.id, number}), nil)
	}
	return nil
}
