package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
	"github.com/posthouse-mail/posthouse/storage"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// planted is a queue to be damaged: one message to a and b at one.test, one to
// c at two.test, and one to d at one.test and e at two.test.
type planted struct {
	t       *testing.T
	fs      *vfs.MemFS
	s       *storagelocal.Store
	q       *Queue
	ab, c   engine.BlobID
	entries map[string]entry // by address
}

func plant(t *testing.T) *planted {
	p := &planted{t: t, fs: vfs.NewMem(), entries: make(map[string]entry)}
	p.open()
	for i, addresses := range [][]string{{"a@one.test", "b@one.test"}, {"c@two.test"}, {"d@one.test", "e@two.test"}} {
		m := outgoing(addresses...)
		m.Body = message.FromBytes(fmt.Appendf(nil, "Subject: %d\r\n\r\nHello %d.\r\n", i, i))
		id, err := p.q.Put(testContext, m)
		require.NoError(t, err)
		for n, address := range addresses {
			r, err := p.q.recipient(nameOf(id, uint32(n)))
			require.NoError(t, err)
			p.entries[address] = entry{r.due, engine.BlobID(id), uint32(n)}
		}
	}
	p.ab, p.c = p.entries["a@one.test"].id, p.entries["c@two.test"].id
	require.Empty(t, p.check())
	return p
}

func (p *planted) open() {
	var err error
	p.s, err = storagelocal.Open("data", storagelocal.Options{FS: p.fs, Logger: quietLog})
	require.NoError(p.t, err)
	p.q, err = New(p.s, Options{})
	require.NoError(p.t, err)
}

func (p *planted) close() {
	require.NoError(p.t, p.q.Close())
	require.NoError(p.t, p.s.Close())
}

// check checks the queue and the store.
func (p *planted) check() (found []storagelocal.Damage) {
	report := func(d storagelocal.Damage) { found = append(found, d) }
	_, err := p.q.Inspect(testContext, Inspection{Report: report})
	require.NoError(p.t, err)
	require.NoError(p.t, p.s.Check(testContext, report, p.q.References))
	return found
}

// waiting claims everything, and returns who it is for.
func (p *planted) waiting() (addresses []string) {
	claims, err := p.q.Claim(testContext, 100, time.Hour)
	require.NoError(p.t, err)
	for _, c := range claims {
		text, err := io.ReadAll(message.NewReader(c.Body))
		require.NoError(p.t, err)
		require.Contains(p.t, string(text), "Hello")
		for _, r := range c.Envelope.Recipients {
			addresses = append(addresses, r.To.String())
		}
	}
	slices.Sort(addresses)
	return addresses
}

type spoiling = func(tx *engine.Tx)

func set(key []byte, value string) spoiling {
	return func(tx *engine.Tx) { tx.Set(key, []byte(value)) }
}
func remove(key []byte) spoiling { return func(tx *engine.Tx) { tx.Delete(key) } }

// TestCheckFindsAndRepairMendsEveryDamage plants one damage after the other,
// each in a queue of its own. The check finds it by its name; after the repair
// nothing is damaged, and everybody waits who was not hit.
func TestCheckFindsAndRepairMendsEveryDamage(t *testing.T) {
	for _, c := range []struct {
		name   string
		kind   storagelocal.DamageKind
		damage func(p *planted) spoiling
		hit    []string
	}{
		{"no entry", DamageNoEntry, func(p *planted) spoiling { return remove(entryKey("one.test", p.entries["a@one.test"])) }, nil},
		{"no entry of the only one", DamageNoEntry, func(p *planted) spoiling { return remove(entryKey("two.test", p.entries["c@two.test"])) }, nil},
		{"no recipient", DamageEntry, func(p *planted) spoiling { return remove(recipientKey(p.ab, 0)) }, []string{"a@one.test"}},
		{"no recipients", DamageCount, func(p *planted) spoiling {
			return func(tx *engine.Tx) { tx.Delete(recipientKey(p.ab, 0)); tx.Delete(recipientKey(p.ab, 1)) }
		}, []string{"a@one.test", "b@one.test"}},
		{"unreadable recipient", DamageRecipient, func(p *planted) spoiling { return set(recipientKey(p.ab, 0), "\x09") }, []string{"a@one.test"}},
		{"no message", DamageNoMessage, func(p *planted) spoiling { return remove(messageKey(p.ab)) }, nil},
		{"unreadable message", DamageMessage, func(p *planted) spoiling { return set(messageKey(p.ab), "x") }, nil},
		{"unreadable message of one", DamageMessage, func(p *planted) spoiling { return set(messageKey(p.c), "x") }, []string{"c@two.test"}},
		{"no content", DamageNoContent, func(p *planted) spoiling { return func(tx *engine.Tx) { tx.Ref(p.c, -1) } }, []string{"c@two.test"}},
		{"no content for two", DamageNoContent, func(p *planted) spoiling { return func(tx *engine.Tx) { tx.Ref(p.ab, -1) } }, []string{"a@one.test", "b@one.test"}},
		{"wrong count", DamageCount, func(p *planted) spoiling { return set(recipientKey(p.ab, leftNumber), string(encodeLeft(7))) }, nil},
		{"unreadable count", DamageCount, func(p *planted) spoiling { return set(recipientKey(p.ab, leftNumber), "x") }, nil},
		{"no count", DamageCount, func(p *planted) spoiling { return remove(recipientKey(p.ab, leftNumber)) }, nil},
		{"entry of nobody", DamageEntry, func(p *planted) spoiling { return set(entryKey("one.test", entry{5, p.ab, 9}), "") }, nil},
		{"entry at another time", DamageEntry, func(p *planted) spoiling { return set(entryKey("one.test", entry{5, p.ab, 0}), "") }, nil},
		{"entry elsewhere", DamageEntry, func(p *planted) spoiling { return set(entryKey("three.test", p.entries["a@one.test"]), "") }, nil},
		{"size", DamageContentSize, func(p *planted) spoiling {
			v, _, err := p.q.message(p.ab)
			require.NoError(p.t, err)
			v.size += 3
			b, err := v.appendTo(nil)
			require.NoError(p.t, err)
			return set(messageKey(p.ab), string(b))
		}, nil},
		{"unknown key", DamageKey, func(*planted) spoiling { return set([]byte("dxy"), "") }, nil},
		{"unknown key of a message", DamageKey, func(*planted) spoiling { return set([]byte("exy"), "") }, nil},
		{"references", storagelocal.DamageRefcount, func(p *planted) spoiling { return func(tx *engine.Tx) { tx.Ref(p.ab, 1) } }, nil},
		{"content of nobody", storagelocal.DamageUnclaimedBody, func(p *planted) spoiling {
			return func(tx *engine.Tx) {
				tx.Delete(messageKey(p.c))
				tx.Delete(entryKey("two.test", p.entries["c@two.test"]))
			}
		}, []string{"c@two.test"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plant(t)
			damage := c.damage(p)
			require.NoError(t, p.q.engine.Commit(testContext, &engine.Change{Build: func(tx *engine.Tx) error { damage(tx); return nil }}))
			p.close()
			p.open()
			defer func() { p.close() }()
			found := p.check()
			require.True(t, slices.ContainsFunc(found, func(d storagelocal.Damage) bool { return d.Kind == c.kind }), "%v", found)
			done := func(d storagelocal.Damage, err error) {
				require.NoError(t, err, d)
				require.NotEmpty(t, d.Repair, d)
			}
			require.NoError(t, p.q.Repair(testContext, Repairs{Done: done}))
			require.NoError(t, p.s.Repair(testContext, nil, storagelocal.Repairs{Others: []storagelocal.References{p.q.References}, Done: done}))
			require.Empty(t, p.check())
			all := []string{"a@one.test", "b@one.test", "c@two.test", "d@one.test", "e@two.test"}
			all = slices.DeleteFunc(all, func(a string) bool { return slices.Contains(c.hit, a) })
			require.Equal(t, all, p.waiting())
			require.ErrorIs(t, p.q.Repair(testContext, Repairs{}), errClaimed)
			p.close()
			p.open()
			require.Equal(t, all, p.waiting(), "and nothing was in memory only")
		})
	}
}

func TestRepairDropsDamagedContentsIfAsked(t *testing.T) {
	p := plant(t)
	p.close()
	name := "data/log/00000001.seg"
	f, err := p.fs.Open(name)
	require.NoError(t, err)
	octets, err := io.ReadAll(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	at := bytes.Index(octets, []byte("Hello 1"))
	octets[at] ^= 1
	w, err := p.fs.Create(name, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = w.Write(octets)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	p.open()
	defer func() { p.close() }()
	kinds := func() (kinds []storagelocal.DamageKind) {
		for _, d := range p.check() {
			kinds = append(kinds, d.Kind)
		}
		return kinds
	}
	require.Equal(t, []storagelocal.DamageKind{DamageContentDamaged, storagelocal.DamageLogBody}, kinds())
	require.NoError(t, p.q.Repair(testContext, Repairs{}))
	require.Contains(t, kinds(), DamageContentDamaged)
	require.NoError(t, p.q.Repair(testContext, Repairs{DropDamaged: true}))
	require.NotContains(t, kinds(), DamageContentDamaged)
	require.Len(t, p.waiting(), 4)
}

// TestChecksGiveNoFalseAlarmWhileMailGoesOn checks the store and the queue
// again and again while eight writers deliver, flag, expunge, move, make and
// delete mailboxes, and queue and settle.
func TestChecksGiveNoFalseAlarmWhileMailGoesOn(t *testing.T) {
	s, err := storagelocal.Open("data", storagelocal.Options{FS: vfs.NewMem(), Logger: quietLog, SegmentSize: 128 << 10, Rows: 100, States: 20})
	require.NoError(t, err)
	defer s.Close()
	q, err := New(s, Options{})
	require.NoError(t, err)
	defer q.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var changes atomic.Int64
	for i := range 8 {
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := busy(ctx, s, q, i, n); err != nil && ctx.Err() == nil {
					t.Errorf("writer %d: %v", i, err)
					return
				}
				changes.Add(1)
			}
		})
	}
	until := time.Now().Add(3 * time.Second)
	checks := 0
	for ; time.Now().Before(until) && !t.Failed(); checks++ {
		_, err := s.Inspect(ctx, storagelocal.Inspection{Others: []storagelocal.References{q.References}, Report: func(d storagelocal.Damage) { t.Error(d) }})
		require.NoError(t, err)
		_, err = q.Inspect(ctx, Inspection{Report: func(d storagelocal.Damage) { t.Error(d) }})
		require.NoError(t, err)
		_, err = s.Engine().Compact(ctx)
		require.NoError(t, err)
	}
	cancel()
	writers.Wait()
	t.Logf("%d checks during %d changes", checks, changes.Load())
	require.NotZero(t, changes.Load())
}

// busy is one of many things that a writer does.
func busy(ctx context.Context, s *storagelocal.Store, q *Queue, writer, n int) error {
	user := fmt.Sprintf("user%d", writer%5)
	switch n % 6 {
	case 0, 1:
		d := incomingTo(user, "everybody")
		d.Body = message.FromBytes(bytes.Repeat([]byte("Line.\r\n"), 1+n%3000))
		_, _, err := q.Submit(ctx, d, outgoing(fmt.Sprintf("x@d%d.test", n%4), "y@two.test"))
		return err
	case 2:
		claims, err := q.Claim(ctx, 3, time.Hour)
		for _, c := range claims {
			outcomes := make([]queue.Outcome, len(c.States))
			for i := range outcomes {
				outcomes[i].Done = n%4 != 0
			}
			if err == nil {
				err = q.Settle(ctx, c, outcomes)
			}
		}
		return err
	}
	a, err := s.Account(ctx, user)
	if err != nil {
		return err
	}
	m, err := a.Mailbox(ctx, storage.Inbox)
	if err != nil {
		return err
	}
	all := imap.UIDSet{{Start: 1, Stop: 0}}
	switch n % 6 {
	case 3:
		_, _, err = m.StoreFlags(ctx, storage.FlagUpdate{UIDs: all, Op: imap.StoreFlagsOp(n % 3), Flags: storage.NewFlags(imap.FlagSeen, "word")})
		return err
	case 4:
		_, err = m.Expunge(ctx, imap.UIDSet{{Start: imap.UID(n), Stop: imap.UID(n + 50)}})
		return err
	}
	name := fmt.Sprintf("Box %d/%d", writer, n)
	if err := a.Create(ctx, name, storage.NewMailbox{}); err != nil {
		return err
	}
	if _, err := m.Move(ctx, all, name); err != nil {
		return err
	}
	if err := a.Rename(ctx, name, name+" again"); err != nil {
		return err
	}
	return a.Delete(ctx, name+" again")
}
