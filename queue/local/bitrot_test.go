package local

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// TestFlippedBitIsFoundAndTouchesNothingElse flips one bit somewhere in the
// directories of a store with a queue: in segments, in the checkpoint, in any
// file of the index, in what says which locations there are. Either opening is
// refused, or a check names the damage, or opening mends it and says so, or the
// bit is one that nobody needs (see needed). Nothing is ever read that is not what was written, and with the
// index made again everything is there but what the bit was in. POSTHOUSE_ROT
// sets how many bits are flipped.
func TestFlippedBitIsFoundAndTouchesNothingElse(t *testing.T) {
	seed := rand.Uint64()
	if s := os.Getenv("POSTHOUSE_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("POSTHOUSE_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	m := newMuseum(t)
	files := m.files(t)
	bits := times(t, "POSTHOUSE_ROT", 150)
	t.Logf("%d bits", bits)
	for range bits {
		kind := kinds[rng.IntN(len(kinds))]
		var names []string
		for _, name := range files {
			if ok, _ := path.Match(kind, path.Base(name)); ok {
				names = append(names, name)
			}
		}
		require.NotEmpty(t, names, kind)
		m.flip(t, rng, names[rng.IntN(len(names))])
		if t.Failed() {
			return
		}
	}
}

// kinds are all files of a store.
var kinds = []string{"*.seg", "*.seg", "*.ckpt", "*.sst", "*.sst", "MANIFEST-*", "OPTIONS-*", "location", "locations"}

// museum is a store with a queue that nobody changes any more.
type museum struct {
	disk  *enginetest.Disk
	mail  map[string]map[uint32]string // texts by user and UID, all in INBOX
	queue map[string]bool              // sessions, which say what the text is
}

func (m *museum) options(disk vfs.FS) storagelocal.Options {
	return storagelocal.Options{
		FS: disk, Logger: quietLog, SegmentSize: 8 << 10, Reserve: -1,
		Locations: []storagelocal.Location{{Path: "a", Limit: 60 << 10}, {Path: "b"}},
	}
}

func newMuseum(t *testing.T) *museum {
	m := &museum{disk: enginetest.NewDisk(), mail: map[string]map[uint32]string{}, queue: map[string]bool{}}
	for _, l := range m.options(nil).Locations {
		require.NoError(t, m.disk.MkdirAll(l.Path, 0o700))
	}
	s, err := storagelocal.Open("store", m.options(m.disk))
	require.NoError(t, err)
	q, err := New(s, Options{})
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(1, 1))
	l := newLedger()
	for i := range 60 {
		m.deliver(t, s, rng, i)
		if i%4 == 0 {
			msg := l.compose(rng)
			_, err := q.Put(testContext, msg)
			require.NoError(t, err)
			m.queue[msg.Session] = true
		}
		if i%3 == 0 {
			m.expunge(t, s, rng)
		}
	}
	require.NoError(t, q.Close())
	require.NoError(t, s.Close())
	// What closing flushed can be told by a checkpoint.
	s, err = storagelocal.Open("store", m.options(m.disk))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return strings.Contains(strings.Join(m.files(t), " "), ".ckpt")
	}, 10*time.Second, time.Millisecond)
	m.deliver(t, s, rng, 1000)
	require.NoError(t, s.Close())
	return m
}

// deliver sends a message to one user or some.
func (m *museum) deliver(t *testing.T, s *storagelocal.Store, rng *rand.Rand, i int) {
	text := fmt.Sprintf("Subject: %d\r\n\r\n", i) + strings.Repeat(fmt.Sprintf("%d %d\r\n", i, rng.Uint64()), rng.IntN(100))
	if i%20 == 7 {
		text += strings.Repeat("long\r\n", 20_000)
	}
	d := &storage.Delivery{Body: message.FromBytes([]byte(text))}
	first := rng.IntN(5)
	for u := range 1 + rng.IntN(2) {
		d.Targets = append(d.Targets, storage.Target{User: fmt.Sprint("user", (first+u)%5)})
	}
	receipts, err := s.Deliver(testContext, d)
	require.NoError(t, err)
	for u, r := range receipts {
		require.NoError(t, r.Err)
		user := d.Targets[u].User
		if m.mail[user] == nil {
			m.mail[user] = map[uint32]string{}
		}
		m.mail[user][uint32(r.UID)] = text
	}
}

// expunge removes somebody's message.
func (m *museum) expunge(t *testing.T, s *storagelocal.Store, rng *rand.Rand) {
	user := fmt.Sprint("user", rng.IntN(5))
	for uid := range m.mail[user] {
		box := m.inbox(t, s, user)
		_, err := box.Expunge(testContext, imap.UIDSetNum(imap.UID(uid)))
		require.NoError(t, err)
		delete(m.mail[user], uid)
		return
	}
}

func (m *museum) inbox(t *testing.T, s *storagelocal.Store, user string) storage.Mailbox {
	a, err := s.Account(testContext, user)
	require.NoError(t, err)
	box, err := a.Mailbox(testContext, storage.Inbox)
	require.NoError(t, err)
	return box
}

// files returns the names of all files that are not empty.
func (m *museum) files(t *testing.T) (list []string) {
	var walk func(dir string)
	walk = func(dir string) {
		names, err := m.disk.List(dir)
		require.NoError(t, err)
		for _, name := range names {
			name = path.Join(dir, name)
			info, err := m.disk.Stat(name)
			if err != nil {
				continue // removed meanwhile
			}
			if info.IsDir() {
				walk(name)
			} else if info.Size() > 0 {
				list = append(list, name)
			}
		}
	}
	walk("/")
	return list
}

// flip flips a bit of a file and looks what becomes of the museum.
func (m *museum) flip(t *testing.T, rng *rand.Rand, name string) {
	disk := m.disk.Copy()
	f, err := disk.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	info, err := f.Stat()
	require.NoError(t, err)
	at, bit := rng.Int64N(info.Size()), byte(1)<<rng.IntN(8)
	var octet [1]byte
	_, err = f.ReadAt(octet[:], at)
	require.True(t, err == nil || errors.Is(err, io.EOF))
	octet[0] ^= bit
	_, err = f.WriteAt(octet[:], at)
	require.NoError(t, err)
	where := fmt.Sprintf("%s of %d octets, bit %#x at %d", name, info.Size(), bit, at)

	found := m.look(t, disk.Copy(), name, where)
	if needed(name, at) {
		require.NotEmpty(t, found, where)
	}
	m.rebuild(t, disk, name, where)
}

// needed reports whether anybody needs an octet, so that its damage must be
// found. Nobody needs what stands for nothing in the heads of segments and
// checkpoints, or what the index notes of its own settings. The list of the
// index's files is taken to end where it can't be read, as after a crash: the
// index is an older one then, which the log brings up to date.
func needed(name string, at int64) bool {
	switch {
	case strings.HasSuffix(name, ".seg"):
		return at < 36 || at >= 64
	case strings.HasSuffix(name, ".ckpt"):
		return at < 28 || at >= 32
	}
	base := path.Base(name)
	return !strings.HasPrefix(base, "OPTIONS-") && !strings.HasPrefix(base, "MANIFEST-")
}

// look opens the museum as it is, and returns what is found to be damaged.
func (m *museum) look(t *testing.T, disk *enginetest.Disk, name, where string) (found []string) {
	o := m.options(disk)
	o.NoCompaction = true
	var logged noted
	o.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelError}))
	s, err := storagelocal.Open("store", o)
	if err != nil {
		require.True(t, errors.Is(err, engine.ErrDamaged) || errors.Is(err, engine.ErrLocation), "%s: %v", where, err)
		return []string{err.Error()}
	}
	defer s.Close()
	q, err := New(s, Options{})
	if err != nil {
		requireDamage(t, err, where)
		return []string{err.Error()}
	}
	defer q.Close()
	lost := m.compare(t, s, q, where)
	for _, err := range []error{
		s.Check(testContext, func(d storagelocal.Damage) { found = append(found, d.String()) }, q.References),
		q.Check(testContext, func(damage string) { found = append(found, damage) }),
	} {
		if err != nil { // a check can't go on where the index can't be read
			requireDamage(t, err, where)
			found = append(found, err.Error())
		}
	}
	// These are made again at once, and the log says why.
	if strings.HasPrefix(path.Base(name), "location") || strings.HasSuffix(name, ".ckpt") {
		found = append(found, logged.lines()...)
	}
	if len(lost) > 0 {
		require.NotEmpty(t, found, "%s: lost %v", where, lost)
	}
	return found
}

// rebuild makes the index again from the log, and requires everything but what
// a segment had where the bit is. A checkpoint is not needed for what there is:
// while the index is whole, it is made again from that.
func (m *museum) rebuild(t *testing.T, disk *enginetest.Disk, name, where string) {
	if strings.HasSuffix(name, ".ckpt") {
		return
	}
	o := m.options(disk)
	o.Rebuild = true
	s, err := storagelocal.Open("store", o)
	if errors.Is(err, engine.ErrDamaged) {
		require.True(t, strings.HasSuffix(name, ".seg"), "%s: %v", where, err)
		o.Salvage = func(*engine.Damage) {}
		s, err = storagelocal.Open("store", o)
	}
	require.NoError(t, err, where)
	defer s.Close()
	q, err := New(s, Options{})
	require.NoError(t, err, where)
	defer q.Close()
	lost := m.compare(t, s, q, where)
	if !strings.HasSuffix(name, ".seg") {
		require.Empty(t, lost, where)
		require.NoError(t, s.Check(testContext, func(d storagelocal.Damage) { t.Errorf("%s: %v", where, d) }, q.References))
	}
	what := map[string]bool{}
	for _, l := range lost {
		what[l.what] = true
	}
	require.LessOrEqual(t, len(what), 1, "%s: more than one message is lost: %v", where, lost)
}

// loss is a message that can't be read, in a mailbox or in the queue.
type loss struct{ owner, what string }

// compare reads everything. What it returns could not be read; what it could
// read is what was written.
func (m *museum) compare(t *testing.T, s *storagelocal.Store, q *Queue, where string) (lost []loss) {
	for user, all := range m.mail {
		a, err := s.Account(testContext, user)
		var box storage.Mailbox
		if err == nil {
			box, err = a.Mailbox(testContext, storage.Inbox)
		}
		for uid, text := range all {
			var got string
			reading := err
			if reading == nil {
				got, reading = readMessage(box, uid)
			}
			if reading != nil {
				requireDamage(t, reading, where)
				lost = append(lost, loss{user, strings.SplitN(text, "\r\n", 2)[0]})
			} else {
				require.Equal(t, text, got, where)
			}
		}
	}
	return append(lost, m.compareQueue(t, q, where)...)
}

func readMessage(box storage.Mailbox, uid uint32) (string, error) {
	body, err := box.Open(testContext, imap.UID(uid))
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(message.NewReader(body))
	return string(text), err
}

func (m *museum) compareQueue(t *testing.T, q *Queue, where string) (lost []loss) {
	claims, err := q.Claim(testContext, 1000, time.Hour)
	if err != nil {
		requireDamage(t, err, where)
		return []loss{{"queue", "all"}}
	}
	there := map[string]bool{}
	for _, c := range claims {
		body, err := io.ReadAll(message.NewReader(c.Body))
		if err != nil {
			requireDamage(t, err, where)
			continue
		}
		require.True(t, m.queue[c.Session], where)
		require.Equal(t, "Received: here\r\n"+contentOf(c.Session), string(body), where)
		there[c.Session] = true
	}
	for session := range m.queue {
		if !there[session] {
			lost = append(lost, loss{"queue", "session " + session})
		}
	}
	return lost
}

func requireDamage(t *testing.T, err error, where string) {
	t.Helper()
	for _, damage := range []error{engine.ErrDamaged, storagelocal.ErrDamaged, ErrDamaged, storage.ErrNoMessage, engine.ErrNoBlob} {
		if errors.Is(err, damage) {
			return
		}
	}
	require.NoError(t, err, where)
}

// noted keeps what was logged.
type noted struct {
	mu  sync.Mutex
	all strings.Builder
}

func (n *noted) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.all.Write(p)
}

func (n *noted) lines() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.FieldsFunc(n.all.String(), func(r rune) bool { return r == '\n' })
}
