package imap

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mirror is what a client believes of a mailbox from what it was told.
type mirror struct {
	*client
	box     string
	uids    []string // by sequence number; "" not known yet
	flags   map[string]string
	modseq  map[string]uint64
	modseqs bool // whether it asks for them
}

var (
	existsLine  = regexp.MustCompile(`^\* (\d+) EXISTS$`)
	expungeLine = regexp.MustCompile(`^\* (\d+) EXPUNGE$`)
	fetchLine   = regexp.MustCompile(`^\* (\d+) FETCH \((.*)\)$`)
	uidItem     = regexp.MustCompile(`UID (\d+)`)
	modseqItem  = regexp.MustCompile(`MODSEQ \((\d+)\)`)
	flagsItem   = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
)

// hear takes in untagged responses. It returns an error when they make no sense.
func (m *mirror) hear(untagged, command string) error {
	for line := range strings.SplitSeq(strings.TrimSuffix(untagged, "\r\n"), "\r\n") {
		if v := existsLine.FindStringSubmatch(line); v != nil {
			n, _ := strconv.Atoi(v[1])
			if n < len(m.uids) {
				return fmt.Errorf("%s shrinks %d messages", line, len(m.uids))
			}
			m.uids = append(m.uids, make([]string, n-len(m.uids))...)
		}
		if v := expungeLine.FindStringSubmatch(line); v != nil {
			n, _ := strconv.Atoi(v[1])
			if n < 1 || n > len(m.uids) {
				return fmt.Errorf("%s of %d messages", line, len(m.uids))
			}
			if word, _, _ := strings.Cut(command, " "); word == "FETCH" || word == "STORE" || word == "SEARCH" {
				return fmt.Errorf("%s during %s", line, command)
			}
			m.uids = slices.Delete(m.uids, n-1, n)
		}
		if v := fetchLine.FindStringSubmatch(line); v != nil {
			if err := m.fetched(v[1], v[2]); err != nil {
				return fmt.Errorf("%s: %w", line, err)
			}
		}
	}
	return nil
}

func (m *mirror) fetched(number, items string) error {
	n, _ := strconv.Atoi(number)
	if n < 1 || n > len(m.uids) {
		return fmt.Errorf("there are %d messages", len(m.uids))
	}
	if v := uidItem.FindStringSubmatch(items); v != nil {
		if known := m.uids[n-1]; known != "" && known != v[1] {
			return fmt.Errorf("message %d was %s", n, known)
		}
		m.uids[n-1] = v[1]
		if err := m.ascending(n - 1); err != nil {
			return err
		}
	}
	if v := modseqItem.FindStringSubmatch(items); v != nil && m.uids[n-1] != "" {
		modseq, _ := strconv.ParseUint(v[1], 10, 64)
		if known := m.modseq[m.uids[n-1]]; modseq < known {
			return fmt.Errorf("ModSeq was %d", known)
		}
		m.modseq[m.uids[n-1]] = modseq
	}
	if v := flagsItem.FindStringSubmatch(items); v != nil && m.uids[n-1] != "" {
		m.flags[m.uids[n-1]] = strings.Join(strings.Fields(strings.ReplaceAll(v[1], `\Recent`, "")), " ")
	}
	return nil
}

// ascending compares the UID at index i with those around it.
func (m *mirror) ascending(i int) error {
	uid, _ := strconv.Atoi(m.uids[i])
	for k := max(i-1, 0); k < min(i+2, len(m.uids)); k++ {
		other, _ := strconv.Atoi(m.uids[k])
		if other != 0 && cmp.Compare(other, uid) != cmp.Compare(k, i) {
			return fmt.Errorf("message %d is %d", k+1, other)
		}
	}
	return nil
}

func (m *mirror) do(command string) error {
	m.tags++
	tag := fmt.Sprintf("t%d", m.tags)
	if _, err := fmt.Fprintf(m.conn, "%s %s\r\n", tag, command); err != nil {
		return err
	}
	var untagged strings.Builder
	for {
		line, err := m.in.ReadString('\n')
		if err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		if strings.HasPrefix(line, "+ ") { // IDLE: stay for a moment
			time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
			fmt.Fprint(m.conn, "DONE\r\n")
			continue
		}
		if strings.HasPrefix(line, tag+" ") {
			err := m.hear(untagged.String(), command)
			m.silent(command)
			return err
		}
		untagged.WriteString(line)
	}
}

var silentStore = regexp.MustCompile(`^STORE (\d+) .*SILENT`)

// silent forgets flags that the client changed without being told the
// outcome: what it heard may be of before its change or of after it.
func (m *mirror) silent(command string) {
	if v := silentStore.FindStringSubmatch(command); v != nil {
		if n, _ := strconv.Atoi(v[1]); n <= len(m.uids) {
			delete(m.flags, m.uids[n-1])
		}
	}
}

func (m *mirror) random(r *rand.Rand) string {
	n := max(1, len(m.uids))
	a, b := 1+r.IntN(n), 1+r.IntN(n)
	flag := []string{`\Seen`, `\Flagged`, `\Deleted`, "$One", "$Two"}[r.IntN(5)]
	sign := []string{"+", "-", ""}[r.IntN(3)]
	commands := []string{
		"NOOP", "IDLE", "APPEND INBOX {3+}\r\nabc", "APPEND INBOX (" + flag + ") {4+}\r\nabcd", "EXPUNGE",
		fmt.Sprintf("FETCH %d:%d (UID FLAGS)", a, b), fmt.Sprintf("UID FETCH %d:* FLAGS", a),
		fmt.Sprintf("STORE %d:%d %sFLAGS (%s)", a, b, sign, flag), fmt.Sprintf("STORE %d %sFLAGS.SILENT (%s)", a, sign, flag),
		fmt.Sprintf("COPY %d INBOX", a), fmt.Sprintf("MOVE %d INBOX", b), fmt.Sprintf("SEARCH %d:%d SEEN", a, b),
		fmt.Sprintf("STORE %d +FLAGS (\\Deleted)", a), fmt.Sprintf("FETCH %d BODY[]<0.0>", a), "CHECK",
	}
	if m.modseqs {
		commands = append(commands, fmt.Sprintf("FETCH %d:%d (UID FLAGS MODSEQ)", a, b), fmt.Sprintf("UID FETCH %d:* (MODSEQ)", a))
	}
	return commands[r.IntN(len(commands))]
}

// TestManySessionsBelieveTheSame lets sessions change one mailbox at random.
// What each was told must always make sense, and in the end be the truth.
func TestManySessionsBelieveTheSame(t *testing.T) {
	for name, open := range openStores {
		t.Run(name, func(t *testing.T) {
			manySessions(t, crowd{sessions: 6, commands: 150, boxes: []string{"INBOX"}}, func(s *Server) { s.Store = open(t) })
		})
	}
}

// TestFiftySessionsBelieveTheSame is the same with more sessions. With
// POSTHOUSE_STRESS, a duration, they go on for so long, on five mailboxes
// between which they move.
func TestFiftySessionsBelieveTheSame(t *testing.T) {
	c := crowd{sessions: 50, commands: 20, boxes: []string{"INBOX"}}
	if long := os.Getenv("POSTHOUSE_STRESS"); long != "" {
		d, err := time.ParseDuration(long)
		require.NoError(t, err)
		c.until = time.Now().Add(d)
		c.boxes = []string{"INBOX", "One", "Two", "Three", "Four"}
		c.commands = 200
	}
	for name, open := range openStores {
		if name == "local" || c.until.IsZero() {
			t.Run(name, func(t *testing.T) { manySessions(t, c, func(s *Server) { s.Store = open(t) }) })
		}
	}
}

// crowd is sessions that change mailboxes at random.
type crowd struct {
	sessions int
	commands int       // of each, before what they believe is compared
	boxes    []string  // that they choose from
	until    time.Time // rounds of commands begin before this time; one does in any case
}

func manySessions(t *testing.T, c crowd, change func(*Server)) {
	s, addr := newServer(t, func(s *Server) {
		s.Limits.BadAfter = 1 << 30
		change(s)
	})
	for _, box := range c.boxes {
		for range 10 {
			deliverTo(t, s.Store, "alice", box, plainMessage)
		}
	}
	mirrors := make([]*mirror, c.sessions)
	for i := range mirrors {
		mirrors[i] = newMirror(t, addr)
		require.NoError(t, mirrors[i].enter("SELECT", c.boxes[i%len(c.boxes)]))
	}
	other := quietServer(s.Store) // it shares no memory with the first, and keeps none: it tells the truth
	other.Limits.Views = -1
	truth := start(t, other)
	for round := uint64(0); round == 0 || time.Now().Before(c.until); round++ {
		var wg sync.WaitGroup
		for i, m := range mirrors {
			r := rand.New(rand.NewPCG(uint64(i)+round<<32, uint64(time.Now().UnixNano())))
			wg.Go(func() {
				if err := m.roam(r, c); err != nil {
					t.Error(err)
				}
			})
		}
		if wg.Wait(); t.Failed() {
			return
		}
		for _, box := range c.boxes {
			agree(t, truth, box, mirrors)
		}
	}
}

// newMirror logs in a client that asks for all that there is to believe.
func newMirror(t *testing.T, addr string) *mirror {
	m := &mirror{client: login(t, addr)}
	m.modseqs = slices.Contains(capsAfter, "CONDSTORE")
	return m
}

// enter selects a mailbox, of which nothing is known.
func (m *mirror) enter(command, box string) error {
	m.box, m.uids, m.flags, m.modseq = box, nil, map[string]string{}, map[string]uint64{}
	return m.do(command + " " + box)
}

// roam runs random commands, on this mailbox and that.
func (m *mirror) roam(r *rand.Rand, c crowd) error {
	if err := m.conn.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		return err
	}
	for range c.commands {
		box := c.boxes[r.IntN(len(c.boxes))]
		var err error
		if len(c.boxes) > 1 && r.IntN(20) == 0 {
			err = m.enter("SELECT", box)
		} else {
			err = m.do(strings.ReplaceAll(m.random(r), "INBOX", box))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// agree compares what the clients in a mailbox believe with what one sees
// that comes now.
func agree(t *testing.T, addr, box string, mirrors []*mirror) {
	truth := newMirror(t, addr)
	defer truth.conn.Close()
	require.NoError(t, truth.enter("EXAMINE", box))
	require.NoError(t, truth.lookAtAll())
	for _, m := range mirrors {
		if m.box != box {
			continue
		}
		require.NoError(t, m.do("NOOP"))
		require.Len(t, m.uids, len(truth.uids))
		for i, uid := range m.uids {
			if uid != "" {
				require.Equal(t, truth.uids[i], uid, "message %d", i+1)
			}
		}
		flags, modseq := maps.Clone(m.flags), maps.Clone(m.modseq)
		require.NoError(t, m.lookAtAll())
		require.True(t, slices.Equal(truth.uids, m.uids), "%v, not %v", m.uids, truth.uids)
		require.Equal(t, truth.modseq, m.modseq)
		for _, uid := range m.uids {
			if told, known := flags[uid]; known {
				require.Equal(t, truth.flags[uid], told, "flags of %s", uid)
			}
			require.LessOrEqual(t, modseq[uid], truth.modseq[uid], "ModSeq of %s", uid)
		}
	}
}

// lookAtAll asks for everything, and forgets what is said of no message.
func (m *mirror) lookAtAll() error {
	m.flags, m.modseq = map[string]string{}, map[string]uint64{}
	if m.modseqs {
		return m.do("UID FETCH 1:* (FLAGS MODSEQ)")
	}
	return m.do("UID FETCH 1:* (FLAGS)")
}
