package local

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/internal/uids"
)

// tombstone reads what a change has expunged.
func (u *unpacker) tombstone(content []byte) error {
	key, rest, ok := cut(content)
	b := u.box
	if !ok || len(key) != 8 {
		return badArchive("what was expunged")
	}
	modSeq := binary.BigEndian.Uint64([]byte(key))
	set, err := parseTombstone(rest)
	if err != nil || modSeq <= max(b.expunge, b.st.floor) || modSeq > b.st.expunged || b.st.tombs == maxTombs {
		return badArchive("what was expunged in mailbox %q", b.name)
	}
	for _, r := range set {
		if uint32(r.Stop) >= b.st.next {
			return badArchive("mailbox %q has expunged what it never had", b.name)
		}
	}
	if b.expired = append(b.expired, set...); len(b.expired) > maxExpired {
		return fmt.Errorf("%w: ranges of UIDs that were expunged in mailbox %q", storage.ErrLimit, b.name)
	}
	b.expunge = modSeq
	b.st.tombs++
	u.staged.set(expungedKey(b.id, modSeq), appendTombstone(nil, set))
	return nil
}

// maxExpired bounds the ranges of UIDs that the tombstones of a mailbox name.
const maxExpired = 1 << 21

// message reads a message.
func (u *unpacker) message(content []byte) error {
	r := &reader{rest: content}
	uid := uint32(r.upTo(math.MaxUint32))
	of := r.summed()
	m, err := parseRecord(uid, r.rest)
	if r.bad || err != nil {
		return badArchive("a message")
	}
	b := u.box
	if b.walk == nil {
		b.gone = uids.Normal(b.expired, 0)
		b.expired, b.walk = nil, b.gone.Walk()
	}
	switch {
	case uid <= b.last || uid >= b.st.next || m.modSeq == 0 || m.modSeq > b.st.modSeq || b.walk.Has(imap.UID(uid)):
		return badArchive("message %d of mailbox %q can't be", uid, b.name)
	case !m.sane():
		return badArchive("message %d of mailbox %q", uid, b.name)
	}
	m.prefix = bytes.Clone(m.prefix)
	b.last = uid
	b.st.count(m.flags, m.size, 1)
	if b.page == nil || b.page.page != pageOf(uid) {
		u.seal()
		b.page = newChunk(pageOf(uid))
	}
	b.page.push(m.listed)
	u.records, u.size = append(u.records, comingRecord{m, of, b.id}), u.size+m.weight()
	u.sum.Messages++
	return nil
}

func (r *reader) summed() summed {
	return summed{int64(r.upTo(math.MaxInt64)), uint32(r.upTo(math.MaxUint32))}
}

// seal writes the page of the last messages, unless it is the one that goes on.
func (u *unpacker) seal() {
	b := u.box
	if b.page != nil && b.page.page < pageOf(b.st.next) {
		u.staged.set(pageKey(b.id, b.page.page), appendPage(nil, b.page, min(b.st.next-1, b.page.page<<pageBits|pageMask)))
	}
	b.page = nil
}

// leave ends the mailbox that is being filled.
func (u *unpacker) leave() error {
	b := u.box
	if b == nil {
		return nil
	}
	if b.st.tombs > 0 && b.expunge != b.st.expunged {
		return badArchive("mailbox %q has lost what was expunged last", b.name)
	}
	u.seal()
	b.expired, b.gone, b.walk = nil, nil, nil
	u.box = nil
	return nil
}

// retained reads a retained message. One whose time is over is left out.
func (u *unpacker) retained(content []byte) error {
	r := &reader{rest: content}
	of := r.summed()
	k, err := parseKept(keptKey(u.rec.id, 0), r.rest)
	if r.bad || err != nil || !k.sane() || !isClean(k.mailbox) || k.expunged < 0 || k.expunged > latestSecond || k.uid == 0 || k.modSeq == 0 || k.modSeq > math.MaxInt64 {
		return badArchive("a retained message")
	}
	u.sum.Messages++
	if k.until <= u.s.second() {
		return nil
	}
	k.prefix = bytes.Clone(k.prefix)
	if u.soonest == 0 || k.until < u.soonest {
		u.soonest = k.until
	}
	u.kept, u.size = append(u.kept, comingKept{k, of}), u.size+k.weight()
	return nil
}

// sane reports whether a message is one that a client could have stored: what
// it says of itself goes to other clients as it is.
func (m *record) sane() bool {
	flags := storage.Flags{System: m.flags, Keywords: m.words}
	again := storage.NewFlags(flags.Names()...)
	date := m.date.time()
	return m.flags <= storage.Seen|storage.Answered|storage.Flagged|storage.Deleted|storage.Draft &&
		flags.Check() == nil && slices.Equal(again.Keywords, m.words) && !slices.ContainsFunc(m.words, badKeyword) &&
		date.Year() >= 0 && date.Year() <= 9999 && !date.IsZero() && newStamp(date) == m.date &&
		m.saved >= 0 && m.saved <= latestSecond && len(m.prefix) <= maxPrefix &&
		m.named != "" && len(m.named) <= 255 && !strings.ContainsFunc(m.named, badInObjectID) &&
		(m.blob != 0 || m.offset == 0 && m.bodySize() == 0)
}

// badKeyword reports what would end a list of flags, or begin something else in
// it. Other octets that are in no keyword (RFC 9051 §9, flag-keyword) are let
// through: an import may have brought them, and nobody should stay for them.
func badKeyword(k imap.Flag) bool {
	return k == "" || strings.ContainsFunc(string(k), func(c rune) bool { return c <= ' ' || c == 0x7f || strings.ContainsRune(`(){"\`, c) })
}

// badInObjectID reports what no object ID has (RFC 8474 §7).
func badInObjectID(c rune) bool {
	return (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
}
