package local

import (
	"cmp"
	"context"
	"slices"

	"github.com/posthouse-mail/posthouse/internal/engine"
)

// Stats are figures of a store.
type Stats struct {
	Accounts  int64 `json:"accounts"`
	Mailboxes int64 `json:"mailboxes"`
	Messages  int64 `json:"messages"`
	Octets    int64 `json:"octets"` // of all messages, as their owners see them
	Retained  int64 `json:"retained"`

	Bodies   int64            `json:"bodies"`   // in the log, each once
	Live     int64            `json:"live"`     // octets of them
	Log      int64            `json:"log"`      // octets of the log
	Index    int64            `json:"index"`    // octets of the index
	Words    int64            `json:"words"`    // octets of the index of words
	Segments []SegmentStats   `json:"segments"` // ascending
	Places   []LocationStats  `json:"locations"`
	Largest  []AccountStats   `json:"largest"` // accounts, the largest first
	Memory   map[string]int64 `json:"memory"`  // octets, about, of each cache
}

// SegmentStats are figures of a segment of the log, as engine.SegmentStats.
type SegmentStats struct {
	Segment  uint32 `json:"segment"`
	Location string `json:"location"`
	Size     int64  `json:"size"`
	Live     int64  `json:"live"`
	Dead     int64  `json:"dead"`
	Bodies   int64  `json:"bodies"`
}

// LocationStats are figures of a directory of segments, as engine.LocationStats.
type LocationStats struct {
	Path     string `json:"path"`
	Limit    int64  `json:"limit"`
	Used     int64  `json:"used"`
	Free     int64  `json:"free"`
	ReadOnly bool   `json:"read_only"`
	Segments int    `json:"segments"`
}

// AccountStats are figures of an account.
type AccountStats struct {
	User      string `json:"user"`
	Mailboxes int64  `json:"mailboxes"`
	Messages  int64  `json:"messages"`
	Octets    int64  `json:"octets"`
}

// Sharing is how many octets of messages there are for each octet of a body in
// the log; 0 when there is none.
func (s *Stats) Sharing() float64 { return share(s.Octets, s.Live) }

// Dead is the share of the log that compaction can give back.
func (s *Stats) Dead() float64 { return share(s.Log-s.Live, s.Log) }

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// Stats adds up what is stored, as it stands at one moment, with the largest
// accounts. It reads the state of every mailbox, which costs some microseconds
// for each, the list of retained messages and the list of the files of the
// index of words, but no message. Memory is bounded.
func (s *Store) Stats(ctx context.Context, largest int) (Stats, error) {
	if err := s.ready(ctx); err != nil {
		return Stats{}, err
	}
	all := Stats{Memory: s.memory()}
	of := s.e.Stats()
	all.Index, all.Words = s.e.IndexStats().Disk, s.texts.octets(ctx)
	for _, location := range of.Locations {
		all.Places = append(all.Places, LocationStats(location))
	}
	for _, segment := range of.Segments {
		all.Segments = append(all.Segments, SegmentStats(segment))
		all.Log, all.Live, all.Bodies = all.Log+segment.Size, all.Live+segment.Live, all.Bodies+segment.Bodies
	}
	snap := s.e.Snapshot()
	defer snap.Close()
	err := snap.Scan(ctx, []byte{keyAccount}, []byte{keyAccount + 1}, func(k, v []byte) error {
		rec, err := parseAccount(v)
		if err != nil {
			return nil // a check reports it; so below
		}
		a, err := accountStats(ctx, snap, rec.id)
		a.User = string(k[1:])
		all.add(a, largest)
		return err
	})
	if err == nil {
		err = snap.Scan(ctx, []byte{keyKept}, []byte{keyKept + 1}, func(_, _ []byte) error { all.Retained++; return nil })
	}
	return all, failure(err)
}

func accountStats(ctx context.Context, snap *engine.Snapshot, id accountID) (a AccountStats, err error) {
	err = snap.Scan(ctx, numberKey(keyName, uint64(id)), behind(keyName, uint64(id)), func(_, v []byte) error {
		a.Mailboxes++
		b, err := parseBox(v)
		if err != nil {
			return nil
		}
		st, err := getState(snap, b.id)
		if err == nil {
			a.Messages, a.Octets = a.Messages+int64(st.messages), a.Octets+st.size
		}
		return ignoreMissing(err)
	})
	return a, err
}

// add counts an account, and keeps the largest ones.
func (s *Stats) add(a AccountStats, largest int) {
	s.Accounts++
	s.Mailboxes, s.Messages, s.Octets = s.Mailboxes+a.Mailboxes, s.Messages+a.Messages, s.Octets+a.Octets
	at, _ := slices.BinarySearchFunc(s.Largest, a, func(x, a AccountStats) int { return cmp.Compare(a.Octets, x.Octets) })
	if at < largest {
		s.Largest = slices.Insert(s.Largest, at, a)
		s.Largest = s.Largest[:min(len(s.Largest), largest)]
	}
}

// memory returns about how many octets the caches hold.
func (s *Store) memory() map[string]int64 {
	index := s.e.IndexStats()
	s.tables.mu.Lock()
	rows := s.tables.rows
	s.tables.mu.Unlock()
	s.mu.RLock()
	states := len(s.lives.young) + len(s.lives.old)
	s.mu.RUnlock()
	return map[string]int64{
		"lists of messages": int64(rows) * 40, "states of mailboxes": int64(states) * 200,
		"index not yet on disk": index.Memory, "blocks of the index": index.Cache,
	}
}
