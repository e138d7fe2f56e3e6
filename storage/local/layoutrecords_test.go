package local_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// What the reader finds. The test makes the same of what the store says.

type layoutAccount struct {
	User      string
	Only      []string  // subscriptions without a mailbox
	Quota     [3]uint64 // octets, messages, mailboxes
	ACL       []layoutACE
	Notes     []layoutNote
	Mailboxes []layoutMailbox
	Retained  []layoutRetained
}

type layoutACE struct {
	Identifier  string
	Allow, Deny uint64
}

type layoutNote struct{ User, Name, Value string }

type layoutMailbox struct {
	Name                      string
	ID                        uint64
	Kind                      byte
	Subscribed                bool
	Attrs                     []string
	ACL                       []layoutACE
	Notes                     []layoutNote
	Validity, Next, ModSeq    uint64
	Messages, Unseen, Deleted uint64
	Size                      uint64
	Quota                     [3]uint64
	List                      []layoutMessage
	Expunged                  []uint64 // ascending
}

type layoutMessage struct {
	UID      uint64
	ModSeq   uint64
	Flags    byte
	Keywords []string
	Seconds  int64 // INTERNALDATE
	Minutes  int64 // its zone
	Saved    int64
	Size     uint64
	Content  string // SHA-256
}

type layoutRetained struct {
	Number          uint64
	Mailbox         string
	Kind            byte
	Expunged, Until int64
	layoutMessage
}

// under returns the keys that begin with a prefix, ascending, without it.
func (l *layout) under(prefix string) (list []string) {
	for k := range l.keys {
		if rest, ok := strings.CutPrefix(k, prefix); ok {
			list = append(list, rest)
		}
	}
	slices.Sort(list)
	return list
}

// numberKey is a kind and numbers as they stand in keys.
func numberKey(kind string, n ...uint64) string {
	for _, n := range n {
		kind += string(big.AppendUint64(nil, n))
	}
	return kind
}

func (l *layout) accounts() (list []layoutAccount, err error) {
	shares := make(map[string]string)
	for _, user := range l.under("a") {
		a := layoutAccount{User: user}
		r := newFields(l.keys["a"+user], 2)
		id := r.uvarint()
		mailboxes, subs := r.uvarint(), r.uvarint()
		freed, _ := r.uvarint(), r.uvarint()
		if r.version > 1 {
			a.Quota, a.ACL = r.quota(), r.acl()
			r.varint()
			r.uvarint()
			r.uvarint()
		}
		err := r.end("account " + user)
		if err == nil {
			err = l.mailboxes(id, &a)
		}
		if err == nil {
			a.Retained, err = l.retained(id)
		}
		if err == nil {
			a.Notes, err = l.notes(numberKey("k", id))
		}
		if err != nil {
			return nil, err
		}
		if subscribed := len(l.under(numberKey("u", id))); len(a.Mailboxes) != int(mailboxes) || subscribed != int(subs) || len(l.under(numberKey("v", id))) != int(freed) {
			return nil, fmt.Errorf("account %s: counts %d, %d and %d are wrong", user, mailboxes, subs, freed)
		}
		a.shares(id, shares)
		list = append(list, a)
	}
	return list, l.shared(shares)
}

// shares adds the keys of what lists of the account allow.
func (a *layoutAccount) shares(id uint64, keys map[string]string) {
	add := func(mailbox uint64, list []layoutACE) {
		for _, e := range list {
			if e.Allow&^e.Deny != 0 {
				keys[numberKey("w"+e.Identifier+"\x00", id, mailbox)] = a.User
			}
		}
	}
	add(0, a.ACL)
	for _, m := range a.Mailboxes {
		add(m.ID, m.ACL)
	}
}

// shared compares what is listed as shared with what lists allow.
func (l *layout) shared(want map[string]string) error {
	found := l.under("w")
	if len(found) != len(want)+1 || found[0] != "" {
		return fmt.Errorf("%d shares are listed, not %d", len(found)-1, len(want))
	}
	for key, user := range want {
		if string(l.keys[key]) != user {
			return fmt.Errorf("share %q is of %q, not %q", key, l.keys[key], user)
		}
	}
	return nil
}

func (r *fields) quota() (q [3]uint64) {
	if r.u8() == 1 {
		return [3]uint64{r.uvarint(), r.uvarint(), r.uvarint()}
	}
	return q
}

func (r *fields) acl() (list []layoutACE) {
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		list = append(list, layoutACE{r.text(), r.uvarint(), r.uvarint()})
	}
	return list
}

func (l *layout) mailboxes(account uint64, a *layoutAccount) error {
	names := l.under(numberKey("n", account))
	for _, name := range l.under(numberKey("u", account)) {
		if !slices.Contains(names, name) {
			a.Only = append(a.Only, name)
		}
	}
	for _, name := range names {
		m := layoutMailbox{Name: name, Kind: 1}
		r := newFields(l.keys[numberKey("n", account)+name], 2)
		m.ID, m.Attrs = r.uvarint(), r.words()
		if r.version > 1 {
			m.Kind, m.ACL = r.u8(), r.acl()
		}
		_, m.Subscribed = l.keys[numberKey("u", account)+name]
		err := r.end("mailbox " + name)
		if err == nil {
			err = l.state(account, &m)
		}
		if err == nil {
			m.List, err = l.messages(m.ID)
		}
		if err == nil {
			m.Expunged, err = l.tombstones(m.ID)
		}
		if err == nil {
			m.Notes, err = l.notes(numberKey("b", m.ID))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		a.Mailboxes = append(a.Mailboxes, m)
	}
	return nil
}

func (l *layout) notes(prefix string) (list []layoutNote, err error) {
	for _, k := range l.under(prefix) {
		key, v := &fields{rest: []byte(k)}, newFields(l.keys[prefix+k], 2)
		n := layoutNote{User: key.text(), Name: string(key.take(len(key.rest))), Value: string(v.take(len(v.rest)))}
		if err := v.end("annotation"); key.bad || err != nil {
			return nil, fmt.Errorf("annotation %q: %w", k, err)
		}
		list = append(list, n)
	}
	return list, nil
}

func (l *layout) state(account uint64, m *layoutMailbox) error {
	r := newFields(l.keys[numberKey("s", m.ID)], 2)
	if r.uvarint() != account {
		return fmt.Errorf("mailbox %d is not of account %d", m.ID, account)
	}
	m.Validity, m.Next, m.ModSeq = r.uvarint(), r.uvarint(), r.uvarint()
	r.uvarint()
	r.uvarint()
	tombs := r.uvarint()
	m.Messages, m.Unseen, m.Deleted, m.Size = r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	if r.version > 1 {
		m.Quota = r.quota()
	}
	if n := len(l.under(numberKey("x", m.ID))); n != int(tombs) {
		return fmt.Errorf("%d tombstones, not %d", n, tombs)
	}
	return r.end("state")
}

// layoutRow is a message with what it takes to read its content.
type layoutRow struct {
	layoutMessage
	blob, offset, size uint64
	prefix             string
}

func (l *layout) record(uid uint64, b []byte) (m layoutRow, err error) {
	r := newFields(b, 3)
	m.UID, m.Flags = uid, r.u8()
	m.blob, m.offset, m.ModSeq = r.uvarint(), r.uvarint(), r.uvarint()
	m.Seconds, m.Minutes = stamp(r.varint())
	m.size, m.Keywords = r.uvarint(), r.words()
	if r.version > 1 {
		m.Saved = r.varint()
	}
	if r.version > 2 {
		_ = r.text() // how another store named it
	}
	m.prefix = string(r.take(len(r.rest)))
	if err := r.end("message"); err != nil {
		return m, err
	}
	content, err := l.content(&m)
	m.Size, m.Content = m.size, digest(content)
	return m, err
}

func digest(content string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(content))) }

func stamp(s int64) (seconds, minutes int64) { return s >> 12, s&4095 - 2048 }

func (l *layout) content(m *layoutRow) (string, error) {
	n := m.size - uint64(len(m.prefix))
	if m.blob == 0 && n == 0 {
		return m.prefix, nil
	}
	b, err := l.body(m.blob)
	if err != nil || m.offset+n > uint64(len(b)) {
		return "", fmt.Errorf("content of %d: %w", m.UID, err)
	}
	return m.prefix + string(b[m.offset:][:n]), nil
}

func (l *layout) messages(mailbox uint64) (list []layoutMessage, err error) {
	type page struct {
		upto uint64
		rows map[uint64]layoutRow
	}
	pages := make(map[uint64]page)
	for _, k := range l.under(numberKey("p", mailbox)) {
		n := uint64(big.Uint32([]byte(k)))
		upto, rows, err := readPage(n*64, l.keys[numberKey("p", mailbox)+k])
		if err != nil {
			return nil, err
		}
		pages[n] = page{upto, rows}
	}
	for _, k := range l.under(numberKey("m", mailbox)) {
		uid := uint64(big.Uint32([]byte(k)))
		m, err := l.record(uid, l.keys[numberKey("m", mailbox)+k])
		if err != nil {
			return nil, err
		}
		if p, ok := pages[uid/64]; ok && uid <= p.upto {
			now, ok := p.rows[uid]
			if !ok || now.size != m.size || now.Seconds != m.Seconds || now.Minutes != m.Minutes {
				return nil, fmt.Errorf("message %d is not as on its page", uid)
			}
			m.Flags, m.ModSeq, m.Keywords = now.Flags, now.ModSeq, now.Keywords
		}
		list = append(list, m.layoutMessage)
	}
	return list, nil
}

func readPage(first uint64, b []byte) (upto uint64, rows map[uint64]layoutRow, err error) {
	r := newFields(b, 2)
	upto = first + uint64(r.u8())
	n, base := r.uvarint(), r.uvarint()
	sets := make([][]string, r.uvarint())
	for i := range sets {
		sets[i] = r.words()
	}
	rows = make(map[uint64]layoutRow)
	date := int64(0)
	for range n {
		var m layoutRow
		m.UID, m.Flags, m.ModSeq = first+uint64(r.u8()), r.u8(), base+r.uvarint()
		date += r.varint()
		m.Seconds, m.Minutes = stamp(date)
		m.size = r.uvarint()
		if len(sets) > 0 {
			if set := r.uvarint(); set > 0 {
				m.Keywords = sets[set-1]
			}
		}
		rows[m.UID] = m
	}
	return upto, rows, r.end("page")
}

func (l *layout) tombstones(mailbox uint64) (uids []uint64, err error) {
	for _, k := range l.under(numberKey("x", mailbox)) {
		r := newFields(l.keys[numberKey("x", mailbox)+k], 2)
		last := uint64(0)
		for n := r.uvarint(); n > 0 && !r.bad; n-- {
			start := last + r.uvarint()
			last = start + r.uvarint()
			for uid := start; uid <= last; uid++ {
				uids = append(uids, uid)
			}
		}
		if err := r.end("tombstone"); err != nil {
			return nil, err
		}
	}
	slices.Sort(uids)
	return uids, nil
}

func (l *layout) retained(account uint64) (list []layoutRetained, err error) {
	for _, k := range l.under(numberKey("y", account)) {
		m := layoutRetained{Number: big.Uint64([]byte(k))}
		r := newFields(l.keys[numberKey("y", account)+k], 2)
		m.Mailbox, m.Kind = r.text(), r.u8()
		m.Expunged, m.Until = r.varint(), int64(r.uvarint())
		uid := r.uvarint()
		if r.bad {
			return nil, r.end("retained message")
		}
		rec, err := l.record(uid, r.rest)
		if err != nil {
			return nil, err
		}
		m.layoutMessage = rec.layoutMessage
		if v := l.keys[numberKey("o", uint64(m.Until), m.Number)]; len(v) != 8 || big.Uint64(v) != account {
			return nil, fmt.Errorf("retained message %d is not due", m.Number)
		}
		list = append(list, m)
	}
	return list, nil
}

// layoutQueued is a recipient of a queued message.
type layoutQueued struct {
	ID                uint64
	From, To          string
	FromOptions       string // JSON
	ToOptions         string
	Destination       string
	Received          int64 // nanoseconds since 1970
	Due               uint64
	Attempts          uint64
	Delayed           bool
	Code              uint64
	Enhanced          [3]int64
	Text, Reason      string
	Session, Content  string
	total, left, size uint64
}

func (l *layout) queued() (list []layoutQueued, err error) {
	for _, k := range l.under("e") {
		if len(k) != 8 {
			continue
		}
		var m layoutQueued
		m.ID = big.Uint64([]byte(k))
		r := newFields(l.keys["e"+k], 1)
		m.From, m.FromOptions, m.total, m.Received = r.text(), r.text(), r.uvarint(), r.varint()
		m.Session, m.Content, m.size = r.text(), r.text(), r.uvarint()
		body, err := l.body(m.ID)
		if err != nil || uint64(len(body)) != m.size {
			return nil, fmt.Errorf("queued message %x: %w", m.ID, err)
		}
		m.Content += string(body)
		if m.total == 1 {
			m.left = 1
			list = append(list, r.recipient(m))
			err = r.end("queued message")
		} else if err = r.end("queued message"); err == nil {
			m.left = uint64(big.Uint32(l.keys["e"+k+"\xff\xff\xff\xff"]))
			list, err = l.recipients(list, k, m)
		}
		if err != nil {
			return nil, err
		}
	}
	return list, l.waiting(list)
}

func (l *layout) recipients(list []layoutQueued, id string, m layoutQueued) ([]layoutQueued, error) {
	for _, n := range l.under("e" + id) {
		if n == "" || n == "\xff\xff\xff\xff" {
			continue
		}
		r := &fields{rest: l.keys["e"+id+n]}
		list = append(list, r.recipient(m))
		if err := r.end("queued recipient"); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (r *fields) recipient(m layoutQueued) layoutQueued {
	if r.u8() != 1 { // the version
		r.bad = true
	}
	m.To, m.ToOptions, m.Destination = r.text(), r.text(), r.text()
	m.Due, m.Attempts, m.Delayed = r.uvarint(), r.uvarint(), r.u8() == 1
	if r.u8() == 1 {
		m.Code, m.Enhanced, m.Text = r.uvarint(), [3]int64{r.varint(), r.varint(), r.varint()}, r.text()
		if r.u8() == 1 {
			m.Reason = r.text()
		}
	}
	return m
}

// waiting compares what waits for destinations with the recipients.
func (l *layout) waiting(list []layoutQueued) error {
	keys := l.under("d")
	for _, m := range list {
		prefix := m.Destination + "\x00" + numberKey("", m.Due, m.ID)
		if !slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, prefix) && len(k) == len(prefix)+4 }) {
			return fmt.Errorf("%s does not wait", m.To)
		}
	}
	if len(keys) != len(list) {
		return fmt.Errorf("%d wait, not %d", len(keys), len(list))
	}
	return nil
}
