package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// Damage is something that is not as it should be.
type Damage struct {
	Where string // a part of the store: an account, a mailbox, a message, a body, a place in the log
	What  string // one line
}

// String returns the damage as one line.
func (d Damage) String() string { return d.Where + ": " + d.What }

// References calls f for every body that somebody besides the store refers to,
// with how many references these are; a body may come several times.
type References func(f func(b engine.BlobID, n int) error) error

// Check looks at everything in the store, as it stands when it begins, and
// calls report for each damage: bodies that are not what was written, records
// that can't be read or don't agree with each other, counters and reference
// counts that are wrong. others are those who share the engine, as the queue
// does. Its error says only that it could not go on. Mail goes on meanwhile.
//
// Memory grows with what others refer to, and not with the mail.
func (s *Store) Check(ctx context.Context, report func(Damage), others ...References) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	c := &checker{s: s, report: report}
	if err := c.log(ctx); err != nil {
		return failure(err)
	}
	before, err := collect(others)
	if err != nil {
		return failure(err)
	}
	c.snap = s.e.Snapshot()
	defer c.snap.Close()
	after, err := collect(others)
	if err != nil {
		return failure(err)
	}
	c.others, c.moving = before, differing(before, after)
	return failure(errors.Join(c.accounts(ctx), c.retained(ctx), c.bodies(ctx), c.held(ctx)))
}

// checker is one Check.
type checker struct {
	s       *Store
	snap    *engine.Snapshot
	report  func(Damage)
	damaged bool // the log is, so that bodies have to be read one by one
	others  []reference
	moving  map[engine.BlobID]bool // bodies whose references from others changed when the check began
	named   int                    // mailboxes that have a name
	kept    int                    // retained messages of accounts
}

func (c *checker) found(where string, format string, args ...any) {
	c.report(Damage{where, fmt.Sprintf(format, args...)})
}

// log checks every octet of the log.
func (c *checker) log(ctx context.Context) error {
	return c.s.e.Check(ctx, engine.Inspection{Damage: func(d *engine.Damage) {
		c.damaged = true
		c.found("log", "%v", d)
	}})
}

// accounts checks all accounts with their trees and mailboxes.
func (c *checker) accounts(ctx context.Context) error {
	err := c.snap.Scan(ctx, []byte{keyAccount}, []byte{keyAccount + 1}, func(k, v []byte) error {
		user := string(k[1:])
		rec, err := parseAccount(v)
		if err != nil {
			c.found(fmt.Sprintf("account %q", user), "%v", err)
			return nil
		}
		return c.account(ctx, user, rec)
	})
	if err != nil {
		return err
	}
	states := 0
	err = c.snap.Scan(ctx, []byte{keyState}, []byte{keyState + 1}, func(_, _ []byte) error { states++; return nil })
	if err == nil && states != c.named {
		c.found("mailboxes", "%d have a state and %d have a name", states, c.named)
	}
	return err
}

func (c *checker) account(ctx context.Context, user string, rec accountRecord) error {
	where := fmt.Sprintf("account %q", user)
	c.notice(where, &rec)
	id := uint64(rec.id)
	var names, subs, freed uint32
	inbox := false
	c.list(where, rec.acl)
	err := c.snap.Scan(ctx, numberKey(keyName, id), behind(keyName, id), func(k, v []byte) error {
		names++
		name := string(k[9:])
		inbox = inbox || name == storage.Inbox
		b, err := parseBox(v)
		if err != nil {
			c.found(where, "mailbox %q: %v", name, err)
			return nil
		}
		if clean, err := storage.CleanName(name); err != nil || clean != name {
			c.found(where, "mailbox %q has a name that none can have", name)
		}
		box := fmt.Sprintf("%s mailbox %q (%d)", where, name, b.id)
		return errors.Join(c.line(box, rec.id, name, b), c.mailbox(ctx, box, b.id, rec.id))
	})
	if err != nil {
		return err
	}
	for kind, n := range map[byte]*uint32{keySubscription: &subs, keyValidity: &freed} {
		if err := c.snap.Scan(ctx, numberKey(kind, id), behind(kind, id), func(_, _ []byte) error { *n++; return nil }); err != nil {
			return err
		}
	}
	if names != rec.mailboxes || subs != rec.subs || freed != rec.freed {
		c.found(where, "has %d mailboxes, %d subscriptions and %d free names, and counts %d, %d and %d", names, subs, freed, rec.mailboxes, rec.subs, rec.freed)
	}
	if !inbox && !storage.IsPublic(user) {
		c.found(where, "has no INBOX")
	}
	return c.countKept(ctx, rec.id)
}

// mailbox checks a mailbox's counters against its rows, its rows against the
// records of messages, and its tombstones.
func (c *checker) mailbox(ctx context.Context, where string, id storage.MailboxID, account accountID) error {
	st, err := getState(c.snap, id)
	if err != nil {
		return c.broken(where, err)
	}
	c.named++
	if st.account != account {
		c.found(where, "belongs to account number %d and not %d", st.account, account)
	}
	t, err := readTable(ctx, c.snap, id)
	if err != nil {
		return c.broken(where, err)
	}
	counted := st
	counted.messages, counted.unseen, counted.deleted, counted.size = 0, 0, 0, 0
	for _, chunk := range t.chunks {
		for i := range chunk.rows {
			r := &chunk.rows[i]
			counted.count(r.flags, r.size, 1)
			if r.uid >= st.next || r.modSeq > st.modSeq || r.uid == 0 {
				c.found(where, "message %d with ModSeq %d is beyond UIDNEXT %d and HIGHESTMODSEQ %d", r.uid, r.modSeq, st.next, st.modSeq)
			}
		}
	}
	if counted != st {
		c.found(where, "has %d messages, %d unseen, %d deleted, %d octets, and counts %d, %d, %d, %d",
			counted.messages, counted.unseen, counted.deleted, counted.size, st.messages, st.unseen, st.deleted, st.size)
	}
	if err := c.records(ctx, where, id, t); err != nil {
		return err
	}
	return c.tombstones(ctx, where, id, &st)
}

// records compares the rows of a mailbox with its records.
func (c *checker) records(ctx context.Context, where string, id storage.MailboxID, t *table) error {
	var rows []row
	for _, chunk := range t.chunks {
		rows = append(rows, chunk.rows...)
	}
	err := c.snap.Scan(ctx, messageKey(id, 0), behind(keyMessage, uint64(id)), func(k, v []byte) error {
		m, err := parseMessage(k, v)
		if err != nil {
			c.found(where, "%v", err)
			uid, ok := tail32(k)
			if !ok {
				return nil
			}
			m.uid = uid
		}
		for len(rows) > 0 && rows[0].uid < m.uid {
			c.found(where, "message %d is listed and has no record", rows[0].uid)
			rows = rows[1:]
		}
		switch {
		case len(rows) == 0 || rows[0].uid != m.uid:
			c.found(where, "message %d has a record and is not listed", m.uid)
			return nil
		case err == nil && (rows[0].size != m.size || rows[0].date != m.date):
			c.found(where, "message %d is listed with another size or date than its record has", m.uid)
		}
		rows = rows[1:]
		return nil
	})
	for _, r := range rows {
		c.found(where, "message %d is listed and has no record", r.uid)
	}
	return err
}

func (c *checker) tombstones(ctx context.Context, where string, id storage.MailboxID, st *state) error {
	n, last := uint32(0), uint64(0)
	err := c.snap.Scan(ctx, expungedKey(id, 0), behind(keyExpunged, uint64(id)), func(k, v []byte) error {
		n++
		modSeq, ok := number(k, 8)
		if _, err := parseTombstone(v); err != nil || !ok {
			c.found(where, "what ModSeq %d expunged can't be read", modSeq)
		}
		if modSeq <= st.floor {
			c.found(where, "ModSeq %d should be forgotten, %d is", modSeq, st.floor)
		}
		last = modSeq
		return nil
	})
	if err == nil && (n != st.tombs || n > 0 && last != st.expunged) {
		c.found(where, "has %d tombstones up to ModSeq %d, and counts %d up to %d", n, last, st.tombs, st.expunged)
	}
	return err
}

// broken reports what can't be read as damage, and returns other errors.
func (c *checker) broken(where string, err error) error {
	switch {
	case errors.Is(err, storage.ErrNoMailbox):
		c.found(where, "has no state")
	case errors.Is(err, ErrDamaged) || errors.Is(err, engine.ErrDamaged):
		c.found(where, "%v", err)
	default:
		return err
	}
	return nil
}
