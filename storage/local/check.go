package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// References calls f for every body that somebody besides the store refers to
// at the moment of a snapshot, with how many references these are; a body may
// come several times.
type References func(at *engine.Snapshot, f func(b engine.BlobID, n int) error) error

// Check is Inspect for those who want to know of damages only.
func (s *Store) Check(ctx context.Context, report func(Damage), others ...References) error {
	_, err := s.Inspect(ctx, Inspection{Report: report, Others: others})
	return err
}

// Inspection says what to do while a store is looked at.
type Inspection struct {
	Report   func(Damage)   // called for each damage
	Progress func(Progress) // nil: nobody wants to know; called ten times a second at most
	Others   []References   // of those who share the engine, as the queue does

	brief bool // bodies are not read: they were before
}

// Progress tells how far an inspection has come.
type Progress struct {
	Stage       string `json:"stage"` // what is being read: "log", "mailboxes", "bodies", "index"
	Done, Total int64  // of the log: octets; else how many; Total 0: not known
}

// Summary is what an inspection has seen.
type Summary struct {
	Accounts, Mailboxes, Messages, Bodies int64
	Octets                                int64 // of all messages
	Log                                   int64 // octets of the log
	Segments                              int   // of the log
	Damages                               int
}

// Inspect looks at everything in the store, as it stands at one moment, and
// reports each damage: bodies that are not what was written, records that
// can't be read or don't agree with each other, counters and reference counts
// that are wrong, and what nobody claims. Its error says only that it could
// not go on. Mail goes on meanwhile. After damage of the index it looks at
// nothing else of it.
//
// Memory grows with what others refer to, with mailboxes, with the entries of
// access control lists and with the rows of the largest mailbox, and not with
// the mail.
func (s *Store) Inspect(ctx context.Context, in Inspection) (Summary, error) {
	if err := s.ready(ctx); err != nil {
		return Summary{}, err
	}
	c := &checker{s: s, Inspection: in, shares: make(map[string]struct{})}
	if err := c.log(ctx); err != nil || c.lost {
		return c.sum, failure(err)
	}
	c.snap = s.e.Snapshot()
	defer c.snap.Close()
	var err error
	if c.others, err = collect(c.snap, in.Others); err != nil {
		return c.sum, failure(err)
	}
	if b, _, err := c.snap.Get([]byte{keyCounters}); err == nil { // else counters tells of it
		own, _ := parseCounters(b)
		c.origin = originOf(own.mailbox)
	}
	for _, stage := range [...]func(context.Context) error{c.accounts, c.shared, c.trees, c.states, c.notes, c.retained, c.arrivals, c.bodies, c.counters, c.unknown, c.held} {
		err := stage(ctx)
		if errors.Is(err, engine.ErrDamaged) {
			c.found(DamageIndex, subject{}, "index", "%v", err)
			return c.sum, nil
		}
		if err != nil {
			return c.sum, failure(err)
		}
	}
	return c.sum, nil
}

// checker is one Inspect. Everything is read from its snapshot.
type checker struct {
	Inspection
	s       *Store
	snap    *engine.Snapshot
	sum     Summary
	damaged bool // the log is, so that bodies have to be read one by one
	lost    bool // the index is
	others  []reference

	known  []accountID // of accounts, sorted by trees
	named  []owned     // mailboxes by their names, sorted by states
	there  []storage.MailboxID
	doomed []storage.MailboxID
	given  counters            // the highest numbers that are in use
	origin uint64              // of the store's own mailboxes, see originOf
	shares map[string]struct{} // keys of what lists allow

	told time.Time
	now  Progress
}

func (c *checker) found(k DamageKind, of subject, where string, format string, args ...any) {
	c.sum.Damages++
	c.Report(Damage{Kind: k, Where: where, What: fmt.Sprintf(format, args...), Repair: remedyOf(k).does, of: of})
}

// stage tells what is read from now on.
func (c *checker) stage(name string, total int64) {
	c.now, c.told = Progress{Stage: name, Total: total}, time.Time{}
	c.done(0)
}

// done tells how far the check has come, now and then.
func (c *checker) done(n int64) {
	c.now.Done += n
	if c.Progress == nil || time.Since(c.told) < progressEvery {
		return
	}
	c.told = time.Now()
	c.Progress(c.now)
}

const progressEvery = 100 * time.Millisecond

// moment is a snapshot as the surveys read it.
type moment struct {
	*engine.Snapshot
	ctx context.Context
}

func (m moment) Scan(from, to []byte, f func(k, v []byte) error) error {
	return m.Snapshot.Scan(m.ctx, from, to, f)
}

// log checks every octet of the log.
func (c *checker) log(ctx context.Context) error {
	c.sum.Segments, c.sum.Log = 0, 0
	for _, segment := range c.s.e.Stats().Segments {
		c.sum.Segments, c.sum.Log = c.sum.Segments+1, c.sum.Log+segment.Size
	}
	if c.brief {
		return nil
	}
	c.stage("log", c.sum.Log)
	return c.s.e.Check(ctx, engine.Inspection{Progress: c.done, Damage: func(d *engine.Damage) {
		k := DamageKind(d.Name())
		c.damaged, c.lost = true, c.lost || k == DamageIndex
		c.found(k, subject{segment: d.Segment}, "log", "%v", d)
	}})
}

// accounts checks all accounts with their trees and mailboxes.
func (c *checker) accounts(ctx context.Context) error {
	c.stage("mailboxes", 0)
	owners := make(map[accountID]string)
	return c.snap.Scan(ctx, []byte{keyAccount}, []byte{keyAccount + 1}, func(k, v []byte) error {
		user := string(k[1:])
		where := fmt.Sprintf("account %q", user)
		c.sum.Accounts++
		rec, err := parseAccount(v)
		if err != nil || checkUser(user) != nil {
			c.found(DamageUnreadableAccount, subject{user: user}, where, "%v", errors.Join(err, checkUser(user)))
			return nil
		}
		c.given.account, c.given.validity = max(c.given.account, rec.id), max(c.given.validity, rec.validity)
		if first, ok := owners[rec.id]; ok {
			c.found(DamageSharedAccount, subject{user: user}, where, "has number %d, as account %q has", rec.id, first)
			return nil
		}
		owners[rec.id] = user
		c.known = append(c.known, rec.id)
		return c.account(ctx, user, rec)
	})
}

// mailbox checks all of one mailbox.
func (c *checker) mailbox(ctx context.Context, where string, b box, account accountID) error {
	of := subject{mailbox: b.id, account: account}
	c.named = append(c.named, owned{b.id, account})
	c.sum.Mailboxes++
	c.done(1)
	v := &survey{r: moment{c.snap, ctx}, id: b.id, bad: func(k DamageKind, uid uint32, what string) {
		c.found(k, of, where, "%s", what)
	}}
	if err := v.read(); err != nil {
		return err
	}
	if v.known && v.had.account != account {
		c.found(DamageWrongOwner, of, where, "belongs to account number %d and not %d", v.had.account, account)
	}
	c.sum.Messages += int64(v.st.messages)
	c.sum.Octets += v.st.size
	return nil
}
