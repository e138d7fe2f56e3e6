package local

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// randomChunk makes a page as a mailbox could have it.
func randomChunk(r *rand.Rand, page uint32) *chunk {
	sets := [][]imap.Flag{nil, {"a"}, {"a", "b"}, {"$Forwarded"}}
	c := newChunk(page)
	for low := uint32(0); low < pageSize; low++ {
		if page == 0 && low == 0 || r.IntN(4) == 0 {
			continue
		}
		c.push(listed{row{
			uid: page<<pageBits | low, flags: storage.SystemFlags(r.IntN(32)), modSeq: 1 + r.Uint64N(1<<40),
			date: newStamp(time.Unix(r.Int64N(1<<33)-1<<32, 0).In(time.FixedZone("", r.IntN(1000)*60))), size: r.Int64N(1 << 40),
		}, sets[r.IntN(len(sets))]})
	}
	return c
}

func TestPagesAreReadAsTheyWereWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		c := randomChunk(r, r.Uint32N(1<<26))
		got, upto, err := parsePage(c.page, appendPage(nil, c, c.page<<pageBits|pageMask))
		require.NoError(t, err)
		require.Equal(t, c.page<<pageBits|pageMask, upto)
		require.Equal(t, c.rows, got.rows)
		require.Equal(t, c.modSeq, got.modSeq)
		for i := range c.rows {
			require.Equal(t, c.get(i), got.get(i))
		}
	}
}

func FuzzPage(f *testing.F) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 10 {
		f.Add(uint32(3), appendPage(nil, randomChunk(r, 3), 255))
	}
	f.Fuzz(func(t *testing.T, page uint32, b []byte) {
		page &= 1<<(32-pageBits) - 1
		c, upto, err := parsePage(page, b)
		if err != nil {
			require.ErrorIs(t, err, ErrDamaged)
			return
		}
		for i := range c.rows {
			require.Equal(t, page, pageOf(c.rows[i].uid))
			require.LessOrEqual(t, c.rows[i].uid, upto)
			require.True(t, i == 0 || c.rows[i-1].uid < c.rows[i].uid)
		}
		again, _, err := parsePage(page, appendPage(nil, c, upto))
		require.NoError(t, err)
		require.Equal(t, c.rows, again.rows)
	})
}

// FuzzRecords reads hostile octets as every kind of record: an error or
// something that is read the same again, and never more memory than the octets
// are worth.
func FuzzRecords(f *testing.F) {
	m := record{listed: listed{row{flags: 3, modSeq: 9, date: newStamp(time.Unix(1, 0)), size: 100}, []imap.Flag{"x"}}, place: place{77, 5}, saved: 1e9, prefix: []byte("A: b\r\n")}
	f.Add(m.append(nil))
	s := state{account: 1, validity: 2, next: 3, modSeq: 4, expunged: 5, floor: 6, tombs: 7, messages: 8, unseen: 9, deleted: 10, size: 11, quota: &storage.Quota{Messages: 12}}
	f.Add(s.append(nil))
	a := accountRecord{id: 1, mailboxes: 2, subs: 3, freed: 4, validity: 5, quota: &storage.Quota{Bytes: 6, Messages: 7}, noticed: 8, threshold: 90, silent: 80}
	f.Add(a.append(nil))
	b := box{id: 7, kind: storage.Tasks, attrs: []imap.MailboxAttr{imap.MailboxAttrSent}, acl: storage.ACL{{Identifier: "bob", Allow: storage.RightRead, Deny: storage.RightAdmin}}}
	f.Add(b.append(nil))
	f.Add(appendTombstone(nil, imap.UIDSet{{Start: 1, Stop: 4}, {Start: 9, Stop: 9}}))
	c := counters{1, 2, 3, 4}
	f.Add(c.append(nil))
	from := origin{account: 1, mailbox: "a/b", kind: storage.Notes, expunged: 1e9, until: 2e9}
	k := kept{record: m, origin: from, id: 1}
	f.Add(k.append(nil))
	d := doomed{origin: from, next: 3, left: 4}
	f.Add(d.append(nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		if k, err := parseKept(keptKey(1, 1), in); err == nil {
			again, err := parseKept(keptKey(1, 1), k.append(nil))
			require.NoError(t, err)
			require.Equal(t, k, again)
			require.GreaterOrEqual(t, k.bodySize(), int64(0))
		}
		if d, err := parseDoomed(in); err == nil {
			again, err := parseDoomed(d.append(nil))
			require.NoError(t, err)
			require.Equal(t, d, again)
		}
		if m, err := parseRecord(1, in); err == nil {
			again, err := parseRecord(1, m.append(nil))
			require.NoError(t, err)
			require.Equal(t, m, again)
			require.GreaterOrEqual(t, m.bodySize(), int64(0))
		}
		if s, err := parseState(in); err == nil {
			again, err := parseState(s.append(nil))
			require.NoError(t, err)
			require.Equal(t, s, again)
		}
		if a, err := parseAccount(in); err == nil {
			again, err := parseAccount(a.append(nil))
			require.NoError(t, err)
			require.Equal(t, a, again)
		}
		if b, err := parseBox(in); err == nil {
			again, err := parseBox(b.append(nil))
			require.NoError(t, err)
			require.Equal(t, b, again)
		}
		if c, err := parseCounters(in); err == nil {
			again, err := parseCounters(c.append(nil))
			require.NoError(t, err)
			require.Equal(t, c, again)
		}
		if set, err := parseTombstone(in); err == nil {
			for _, r := range set {
				require.True(t, 0 < r.Start && r.Start <= r.Stop)
			}
		}
	})
}

// TestRecordsOfTheFirstVersionAreRead reads records that have nothing yet of
// what the second version brought.
func TestRecordsOfTheFirstVersionAreRead(t *testing.T) {
	b, err := parseBox([]byte{1, 7, 1, 5, '\\', 'S', 'e', 'n', 't'})
	require.NoError(t, err)
	require.Equal(t, box{id: 7, kind: storage.Mail, attrs: []imap.MailboxAttr{imap.MailboxAttrSent}}, b)
	a, err := parseAccount([]byte{1, 1, 2, 3, 4, 5})
	require.NoError(t, err)
	require.Equal(t, accountRecord{id: 1, mailboxes: 2, subs: 3, freed: 4, validity: 5}, a)
	m, err := parseRecord(9, []byte{1, 3, 77, 5, 6, 0, 8, 0, 'A', ':', '\r', '\n'})
	require.NoError(t, err)
	require.Equal(t, record{listed: listed{row: row{uid: 9, flags: 3, modSeq: 6, size: 8}}, place: place{77, 5}, prefix: []byte("A:\r\n")}, m)
	c, err := parseCounters([]byte{1, 2, 3, 4})
	require.NoError(t, err)
	require.Equal(t, counters{account: 2, mailbox: 3, validity: 4}, c)
	d, err := parseDoomed(nil)
	require.NoError(t, err)
	require.Zero(t, d)
	_, err = parseBox([]byte{version + 1, 7, 0})
	require.ErrorIs(t, err, ErrDamaged)
}

func TestStampsKeepDates(t *testing.T) {
	for _, d := range []time.Time{
		time.Date(1, 1, 3, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 29, 0, 0, 0, 0, time.FixedZone("", -9*3600-30*60)), time.Date(1970, 1, 1, 0, 0, 0, 0, time.FixedZone("", 23*3600)),
	} {
		require.Equal(t, d.Format(time.RFC3339), newStamp(d).time().Format(time.RFC3339))
		require.True(t, d.Equal(newStamp(d).time()))
	}
}
