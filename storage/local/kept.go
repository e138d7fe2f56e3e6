package local

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/posthouse-mail/posthouse/storage"
)

// origin is where messages were expunged, and how long they are retained.
type origin struct {
	account  accountID
	mailbox  string
	kind     storage.Kind
	expunged int64 // seconds since 1970
	until    int64 // 0: they are not retained
}

func (o *origin) append(b []byte) []byte {
	b = appendBytes(b, o.mailbox)
	b = append(b, byte(o.kind))
	b = binary.AppendVarint(b, o.expunged)
	return binary.AppendUvarint(b, uint64(o.until))
}

func (r *reader) origin(a accountID) (o origin) {
	o.account = a
	o.mailbox = string(r.bytes())
	o.kind = storage.Kind(r.octet())
	o.expunged = r.signed()
	o.until = int64(r.upTo(math.MaxInt64))
	if !o.kind.Valid() || o.until == 0 {
		r.fail()
	}
	return o
}

// kept is an expunged message that can be restored. It holds the reference to
// its body.
type kept struct {
	record
	origin
	id storage.RetainedID
}

func (k *kept) append(b []byte) []byte {
	b = k.origin.append(append(b, version))
	b = binary.AppendUvarint(b, uint64(k.uid))
	return k.record.append(b)
}

// parseKept reads a record with its key. Its prefix is a piece of b.
func parseKept(key, b []byte) (k kept, err error) {
	account, _ := number(key, 0)
	id, ok := number(key, 8)
	r := newReader(b)
	from := r.origin(accountID(account))
	uid := uint32(r.upTo(math.MaxUint32))
	if r.bad || !ok {
		return kept{}, ErrDamaged
	}
	m, err := parseRecord(uid, r.rest)
	if err != nil {
		return kept{}, err
	}
	return kept{m, from, storage.RetainedID(id)}, nil
}

func (k *kept) retained() storage.Retained {
	return storage.Retained{
		ID: k.id, Mailbox: k.mailbox, Kind: k.kind, Message: k.message(),
		Expunged: time.Unix(k.expunged, 0).UTC(), Until: time.Unix(k.until, 0).UTC(),
	}
}

// origin returns what becomes of messages of a user's mailbox that are
// expunged now. A change of the settings is for what is expunged after it.
func (s *Store) origin(a tree, mailbox string, k storage.Kind) origin {
	keep := s.options.Settings(storage.Domain(a.user)).Retention
	if keep <= 0 {
		return origin{}
	}
	now := s.second()
	return origin{a.id, mailbox, k, now, max(now, 0) + int64((min(keep, math.MaxInt64-time.Second)+time.Second-1)/time.Second)}
}

// second is the clock in seconds since 1970.
func (s *Store) second() int64 { return s.options.Now().Unix() }

// retain keeps messages of a mailbox that are being expunged until the time
// that it returns, or takes back their references to bodies and returns 0, as
// the settings of the domain say.
func (t tx) retain(m *mailbox, gone []record) (until int64, err error) {
	from := t.s.origin(m.tree, "", 0)
	if from.until == 0 {
		for i := range gone {
			t.unlink(&gone[i])
		}
		return 0, nil
	}
	if from.mailbox, from.kind, err = t.nameOf(m); err != nil {
		return 0, err
	}
	first := t.newRetained(len(gone))
	for i := range gone {
		t.keep(kept{gone[i], from, first + storage.RetainedID(i)})
	}
	return from.until, nil
}

// newRetained gives out numbers for retained messages. It returns the first.
func (t tx) newRetained(n int) storage.RetainedID {
	c := &t.s.counters
	first := c.retained + 1
	c.retained += storage.RetainedID(n)
	t.saveCounters()
	return first
}

// keep writes a retained message, which takes over a reference to its body.
func (t tx) keep(k kept) {
	t.s.value = k.append(t.s.value[:0])
	t.Set(keptKey(k.account, k.id), t.s.value)
	t.Set(dueKey(k.until, k.id), binary.BigEndian.AppendUint64(nil, uint64(k.account)))
}

// kept reads a retained message as the changes built so far leave it. ok is
// false when there is none.
func (t tx) kept(a accountID, id storage.RetainedID) (k kept, ok bool, err error) {
	key := keptKey(a, id)
	v, ok, err := t.Get(key)
	if err != nil || !ok {
		return kept{}, false, err
	}
	if k, err = parseKept(key, v); err != nil {
		return kept{}, false, fmt.Errorf("retained message %d: %w", id, err)
	}
	return k, true, nil
}

// forget removes a retained message. Its reference to the body is the caller's.
func (t tx) forget(k *kept) {
	t.Delete(keptKey(k.account, k.id))
	t.Delete(dueKey(k.until, k.id))
}

// nameOf returns the name that a mailbox has now, and its kind.
func (t tx) nameOf(m *mailbox) (name string, k storage.Kind, err error) {
	v, ok, err := t.Get(nameKey(keyName, m.account.id, m.name))
	if err != nil {
		return "", 0, err
	}
	if ok {
		if b, err := parseBox(v); err == nil && b.id == m.id {
			return m.name, b.kind, nil
		}
	}
	// It was renamed since it was opened.
	err = t.Scan(nameKey(keyName, m.account.id, ""), behind(keyName, uint64(m.account.id)), func(key, v []byte) error {
		b, err := parseBox(v)
		if err == nil && b.id == m.id {
			name, k, err = string(key[9:]), b.kind, errEnough
		}
		return err
	})
	switch err {
	case errEnough:
		return name, k, nil
	case nil:
		err = fmt.Errorf("mailbox %d: %w: no name", m.id, ErrDamaged)
	}
	return "", 0, err
}

// maxAtOnce bounds what one change retains, in octets: the engine has a bound
// for a change, and a group of changes should not wait for one that is huge.
const maxAtOnce = 24 << 20

// atOnce returns as many of the messages as one change can retain.
func atOnce(all []record) (some []record, more bool) {
	size := 0
	for i := range all {
		if size += all[i].weight(); size > maxAtOnce && i > 0 {
			return all[:i], true
		}
	}
	return all, false
}

// weight is about how many octets of a change it takes to retain a message.
func (m *record) weight() int {
	n := 250 + len(m.prefix)
	for _, w := range m.words {
		n += len(w) + 2
	}
	return n
}
