package imap

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// FuzzSnapshots changes a mailbox as its input says, an operation in four
// octets, and compares every snapshot, and what a client is told that knows
// an older one, with plain slices.
func FuzzSnapshots(f *testing.F) {
	f.Add([]byte{0, 9, 0, 0, 2, 0, 0, 1, 1, 3, 7, 1, 3, 0, 0, 0})
	r := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		seed := make([]byte, 4*40)
		for i := range seed {
			seed[i] = byte(r.Uint32())
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		m := &modelBox{t: t, now: &snapshot{next: 1}, next: 1}
		for ; len(ops) >= 4 && m.rounds < 20; ops = ops[4:] {
			m.apply(ops[0]%8, int(ops[1])<<8|int(ops[2]), int(ops[3]))
		}
	})
}

// modelBox is a mailbox as a plain slice beside its newest snapshot.
type modelBox struct {
	t      testing.TB
	now    *snapshot
	list   []entry
	next   imap.UID
	modseq uint64
	rounds int

	known     *snapshot // what a client was told of
	knownList []entry
}

// apply makes one change: at says where, size how much.
func (m *modelBox) apply(op byte, at, size int) {
	m.rounds++
	m.modseq++
	var puts []entry
	var gone imap.UIDSet
	from := at * len(m.list) >> 16
	to := min(len(m.list), from+size*size/16+1)
	switch {
	case op < 2: // arrivals, some of them seen
		for range min(size*8, 2500-len(m.list)) {
			m.next += imap.UID(1 + at%3)
			puts = append(puts, entry{uid: m.next, modseq: m.modseq, flags: uint32(storage.Seen) & -uint32(size&1)})
		}
	case op < 4: // flags of a range
		for i := from; i < to; i += 1 + at%5 {
			e := m.list[i]
			e.modseq, e.flags = m.modseq, e.flags^uint32(storage.SystemFlags(at)&(storage.Seen|storage.Flagged))
			puts = append(puts, e)
		}
	case op < 6: // expunges
		for i := from; i < to; i += 1 + at%4 {
			gone = append(gone, imap.UIDRange{Start: m.list[i].uid, Stop: m.list[i].uid})
		}
		slices.Reverse(gone) // no order is promised
	case op == 6: // expunge of everything in a range, and of what never was
		if from < to {
			gone = imap.UIDSet{{Start: m.list[from].uid, Stop: m.list[to-1].uid + 1}}
		}
	default: // the client is told
		m.checkDiff()
		m.known, m.knownList = m.now, slices.Clone(m.list)
		return
	}
	m.now = m.now.edit(puts, gone)
	m.list = plainEdit(m.list, puts, gone)
	checkSnapshot(m.t, m.now, m.list)
	m.checkDiff()
}

func plainEdit(list, puts []entry, gone imap.UIDSet) (out []entry) {
	dead := make(map[imap.UID]bool)
	for _, r := range gone {
		for uid := r.Start; uid <= r.Stop; uid++ {
			dead[uid] = true
		}
	}
	byUID := make(map[imap.UID]entry, len(puts))
	for _, e := range puts {
		byUID[e.uid] = e
	}
	for _, e := range list {
		if put, ok := byUID[e.uid]; ok {
			e = put
			delete(byUID, e.uid)
		}
		out = append(out, e)
	}
	for _, e := range puts {
		if _, ok := byUID[e.uid]; ok {
			out = append(out, e)
		}
	}
	return slices.DeleteFunc(out, func(e entry) bool { return dead[e.uid] })
}

// checkSnapshot compares a snapshot with the entries that it must have.
func checkSnapshot(t testing.TB, s *snapshot, want []entry) {
	require.Equal(t, len(want), s.count)
	r := reader{snapshot: s}
	unseen := -1
	for i := range want {
		if *r.at(i) != want[i] {
			t.Fatalf("entry %d is %v, not %v", i, *r.at(i), want[i])
		}
		if unseen < 0 && want[i].system()&storage.Seen == 0 {
			unseen = i
		}
		if k, ok := s.find(want[i].uid); k != i || !ok {
			t.Fatalf("UID %d is at %d, not at %d", want[i].uid, k, i)
		}
		if k, ok := s.find(want[i].uid + 1); k != i+1 || ok != (i+1 < len(want) && want[i+1].uid == want[i].uid+1) {
			t.Fatalf("UID %d would stand at %d, not at %d", want[i].uid+1, k, i+1)
		}
	}
	require.Equal(t, unseen, s.firstUnseen())
	for k := range s.refs {
		n := len(s.refs[k].entries)
		require.True(t, n > 0 && n <= chunkSize, "chunk of %d", n)
		require.True(t, k == 0 || n+len(s.refs[k-1].entries) > chunkLow, "small chunks side by side")
	}
}

// checkDiff compares what the client is told with the difference of two slices.
func (m *modelBox) checkDiff() {
	if m.known == nil {
		return
	}
	n := diff(m.known, m.now)
	checkNews(m.t, n, m.knownList, m.list)
	kept := m.now.withGone(m.known, n.gone)
	want := slices.Clone(m.list)
	for _, i := range n.gone {
		want = append(want, m.knownList[i])
	}
	slices.SortFunc(want, func(a, b entry) int { return cmp.Compare(a.uid, b.uid) })
	checkSnapshot(m.t, kept, want)
	checkNews(m.t, diff(m.known, kept), m.knownList, want)
	checkNews(m.t, diff(kept, m.now), want, m.list)
}

func checkNews(t testing.TB, n news, old, now []entry) {
	var want news
	place := make(map[imap.UID]int)
	for i, e := range now {
		place[e.uid] = i
	}
	for i, e := range old {
		k, ok := place[e.uid]
		switch {
		case !ok:
			want.lose(i, e.uid)
		case now[k].modseq != e.modseq:
			want.changed = append(want.changed, changed{k, now[k].flags != e.flags})
		}
		delete(place, e.uid)
	}
	want.arrived = len(place) > 0
	require.Equal(t, want, n)
}

func TestSnapshotsShareWhatDidNotChange(t *testing.T) {
	var list []entry
	for i := range 100_000 {
		list = append(list, entry{uid: imap.UID(i + 1)})
	}
	old := (&snapshot{}).edit(list, nil)
	changed := list[5_000]
	changed.modseq = 1
	now := old.edit([]entry{changed, {uid: 100_001}}, imap.UIDSetNum(70_000))
	shared := 0
	for _, r := range now.refs {
		if slices.ContainsFunc(old.refs, func(o ref) bool { return o.chunk == r.chunk }) {
			shared++
		}
	}
	require.Equal(t, len(now.refs)-3, shared)
	require.Same(t, old.refs[0].chunk, old.edit(nil, nil).refs[0].chunk)
}

func TestKeptMessagesHaveTheirKeywordsInTheNumbersOfAnotherTable(t *testing.T) {
	v := fuzzView(t)
	ctx := context.Background()
	_, _, err := v.box.StoreFlags(ctx, storage.FlagUpdate{UIDs: imap.UIDSetNum(1, 2), Op: imap.StoreFlagsSet, Flags: storage.NewFlags("gone", "soon")})
	require.NoError(t, err)
	_, err = v.refresh(ctx, allUpdates)
	require.NoError(t, err)
	known := v.snapshot
	_, err = v.box.Expunge(ctx, imap.UIDSetNum(1, 2))
	require.NoError(t, err)
	now, err := v.board.catchUp(ctx, v.box)
	require.NoError(t, err)
	v.board.newest = v.board.words.forget(now)
	for range 2 {
		n, err := v.refresh(ctx, allButExpunge)
		require.NoError(t, err)
		require.Empty(t, n.gone)
		require.Empty(t, n.changed)
		require.True(t, v.owed)
		require.True(t, v.flags(v.at(0)).Equal(storage.NewFlags("gone", "soon")))
		require.True(t, v.flags(v.at(1)).Equal(storage.NewFlags("gone", "soon")))
		require.Less(t, v.keywords.epoch, 0)
	}
	n, err := v.refresh(ctx, allUpdates)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, n.gone)
	require.Equal(t, known.keywords.epoch+1, v.keywords.epoch)
}
