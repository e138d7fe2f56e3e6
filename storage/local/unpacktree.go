package local

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// meta takes a frame of the part behind the bodies.
func (u *unpacker) meta(ctx context.Context, kind byte, content []byte) error {
	if u.coming == nil {
		if kind != frameAccount {
			return badArchive("it has no account")
		}
		if err := u.settled(ctx); err != nil {
			return err
		}
		return u.account(ctx, content)
	}
	if !follows(u.phase, kind) {
		return badArchive("a frame %q is out of order", kind)
	}
	u.phase = kind
	var err error
	switch kind {
	case frameSubscription:
		err = u.subscription(content)
	case frameValidity:
		err = u.validity(content)
	case frameAccountNote:
		err = u.accountNote(content)
	case frameMailbox:
		err = u.mailbox(ctx, content)
	case frameBoxNote:
		err = u.boxNote(content)
	case frameTombstone:
		err = u.tombstone(content)
	case frameMessage:
		err = u.message(content)
	case frameKept:
		if u.box != nil {
			err = u.leave()
		}
		if err == nil {
			err = u.retained(content)
		}
	}
	if u.weight > maxComing {
		return fmt.Errorf("%w: mailboxes of an archive", storage.ErrLimit)
	}
	if err == nil && u.full() {
		err = u.write(ctx)
	}
	return err
}

// follows reports whether a frame can come behind another.
func follows(before, kind byte) bool {
	order := []byte{frameAccount, frameSubscription, frameValidity, frameAccountNote, frameMailbox, frameBoxNote, frameTombstone, frameMessage, frameKept}
	a, b := bytes.IndexByte(order, before), bytes.IndexByte(order, kind)
	inBox := before != frameKept && a >= bytes.IndexByte(order, frameMailbox)
	switch {
	case b < 0 || kind == frameAccount:
		return false
	case kind == frameMailbox:
		return before != frameKept
	case kind == frameBoxNote || kind == frameTombstone || kind == frameMessage:
		return inBox && b >= a
	}
	return b >= a
}

// account begins the account, under a number that nobody knows.
func (u *unpacker) account(ctx context.Context, content []byte) error {
	rec, err := parseAccount(content)
	if err != nil || !clean(rec.acl) || !rec.noticesRight() || rec.noticed > latestSecond {
		return badArchive("its account")
	}
	if err := believable(rec.validity); err != nil {
		return err
	}
	c := &coming{rec: rec, freed: make(map[string]uint32), notes: make(map[string][]byte), byName: make(map[string]*comingBox), phase: frameAccount}
	c.rec.mailboxes, c.rec.subs, c.rec.freed, c.rec.id = 0, 0, 0, 0
	c.weight = len(content)
	err = u.s.commit(ctx, nil, func(t tx) error {
		c.rec.id = t.newAccountID()
		t.saveCounters()
		u.s.arriving.keep(c.rec.id)
		t.Set(leftKey(c.rec.id), nil)
		return nil
	})
	u.coming = c
	return err
}

func (u *unpacker) subscription(content []byte) error {
	name, rest, ok := cut(content)
	if !ok || len(rest) > 0 || !isClean(name) || len(u.subs) > 0 && name <= u.subs[len(u.subs)-1] || len(u.subs) == maxNames {
		return badArchive("a subscription")
	}
	u.subs = append(u.subs, name)
	u.weight += len(name) + 64
	return nil
}

func (u *unpacker) validity(content []byte) error {
	name, rest, ok := cut(content)
	if !ok || len(rest) != 4 || !isClean(name) || len(u.freed) == maxFreed {
		return badArchive("the UIDVALIDITY of a free name")
	}
	v := binary.BigEndian.Uint32(rest)
	u.freed[name] = v
	u.weight += len(name) + 64
	return believable(v)
}

func (u *unpacker) accountNote(content []byte) error {
	key, value, err := u.noted.note(content)
	if err == nil {
		u.notes[key] = value
		u.weight += len(content) + 64
	}
	return err
}

func (u *unpacker) boxNote(content []byte) error {
	key, value, err := u.box.noted.note(content)
	if err == nil {
		u.staged.set(append(boxNotes(u.box.id), key...), value)
	}
	return err
}

// note reads an annotation that a mailbox or account can have.
func (n *noted) note(content []byte) (key string, value []byte, err error) {
	key, rest, ok := cut(content)
	_, name, named := parseNoteKey(append(make([]byte, 9), key...))
	_, unreadable := parseNote(rest)
	if !ok || !named || unreadable != nil {
		return "", nil, badArchive("an annotation")
	}
	n.add(name, rest, 1)
	if n.count > storage.MaxAnnotations || n.size > storage.MaxAnnotationsSize {
		return "", nil, badArchive("too many annotations")
	}
	return key, bytes.Clone(rest), nil
}

// cut takes a text from the beginning of a content.
func cut(content []byte) (text string, rest []byte, ok bool) {
	r := &reader{rest: content}
	text = string(r.bytes())
	return text, r.rest, !r.bad
}

// clean reports whether a list is one that can be set.
func clean(list storage.ACL) bool {
	c, err := list.Clean()
	return err == nil && c.Equal(list)
}

// believable returns an error for a UIDVALIDITY that no store can have given
// out: they begin with the time when the store was made, and there is one for
// each mailbox. Else one archive could use them up for all.
func believable(validity uint32) error {
	if uint64(validity) > min(uint64(firstValidity())+1<<28, math.MaxUint32-1<<28) {
		return badArchive("UIDVALIDITY %d", validity)
	}
	return nil
}

// mailbox begins a mailbox.
func (u *unpacker) mailbox(ctx context.Context, content []byte) error {
	if err := u.leave(); err != nil {
		return err
	}
	b, err := u.newBox(content)
	if err != nil {
		return err
	}
	u.weight += len(content) + 200 + 100*len(b.acl)
	theirs := b.id
	if err := u.number(ctx, b); err != nil {
		return err
	}
	if b.id != theirs {
		u.sum.Renamed++
	}
	u.staged.set(doomedKey(b.id), nil) // before anything that is in it
	u.box = b
	u.boxes, u.byName[b.name] = append(u.boxes, b), b
	u.sum.Mailboxes++
	return nil
}

// number gives a mailbox its number: the one that it had, when that is free and
// was given out by a store that has an origin, or a new one.
func (u *unpacker) number(ctx context.Context, b *comingBox) error {
	v, _, err := u.s.e.Get([]byte{keyCounters})
	if err != nil {
		return err
	}
	given, err := parseCounters(v)
	if err != nil {
		return err
	}
	origin := originOf(b.id)
	free := origin > 0 && origin < 1<<31 && (origin != originOf(given.mailbox) || b.id <= given.mailbox)
	for _, key := range [...][]byte{stateKey(b.id), doomedKey(b.id)} {
		_, there, err := u.s.e.Get(key)
		if err != nil {
			return err
		}
		free = free && !there
	}
	if free && u.s.arriving.claim(b.id) {
		return nil
	}
	return u.s.commit(ctx, nil, func(t tx) error {
		t.s.counters.mailbox++
		t.saveCounters()
		b.id = t.s.counters.mailbox
		u.s.arriving.claim(b.id)
		return nil
	})
}

// newBox reads the frame of a mailbox.
func (u *unpacker) newBox(content []byte) (*comingBox, error) {
	r := &reader{rest: content}
	b := &comingBox{name: string(r.bytes())}
	line := r.bytes()
	b.told = uint32(r.upTo(math.MaxUint32))
	if r.bad {
		return nil, badArchive("a mailbox")
	}
	var err error
	if b.box, err = parseBox(line); err != nil {
		return nil, badArchive("mailbox %q", b.name)
	}
	if b.st, err = parseState(r.rest); err != nil {
		return nil, badArchive("the state of mailbox %q", b.name)
	}
	st := &b.st
	switch {
	case !isClean(b.name) || u.byName[b.name] != nil || len(u.boxes) == maxNames || !clean(b.acl) || slices.ContainsFunc(b.attrs, badAttr) || len(b.attrs) > maxAttrs,
		b.name == storage.Inbox && b.kind != storage.Mail:
		return nil, badArchive("mailbox %q can't be", b.name)
	case st.next == 0 || st.validity == 0 || st.modSeq == 0 || st.modSeq > math.MaxInt64 || st.expunged > st.modSeq || st.floor > st.expunged || b.told > st.next:
		return nil, badArchive("the state of mailbox %q can't be", b.name)
	}
	if i := strings.LastIndex(b.name, storage.Separator); i > 0 {
		if above := u.byName[b.name[:i]]; above == nil || above.kind != b.kind {
			return nil, badArchive("mailbox %q has none above it", b.name)
		}
	}
	st.account, st.tombs, st.messages, st.unseen, st.deleted, st.size = u.rec.id, 0, 0, 0, 0, 0
	return b, believable(st.validity)
}

// maxAttrs is more than there are special uses (RFC 6154, RFC 8457).
const maxAttrs = 32

// badAttr reports attributes that are none: they are written to clients.
func badAttr(a imap.MailboxAttr) bool {
	return len(a) < 2 || len(a) > 64 || a[0] != '\\' || strings.ContainsFunc(string(a[1:]), func(c rune) bool {
		return (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}
