package imap

import (
	"fmt"
	"maps"
	"math/rand/v2"
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
	uids  []string // by sequence number; "" not known yet
	flags map[string]string
}

var (
	existsLine  = regexp.MustCompile(`^\* (\d+) EXISTS$`)
	expungeLine = regexp.MustCompile(`^\* (\d+) EXPUNGE$`)
	fetchLine   = regexp.MustCompile(`^\* (\d+) FETCH \((.*)\)$`)
	uidItem     = regexp.MustCompile(`UID (\d+)`)
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
	}
	if v := flagsItem.FindStringSubmatch(items); v != nil && m.uids[n-1] != "" {
		m.flags[m.uids[n-1]] = strings.Join(strings.Fields(strings.ReplaceAll(v[1], `\Recent`, "")), " ")
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
			m.silent(command)
			return m.hear(untagged.String(), command)
		}
		untagged.WriteString(line)
	}
}

var silentStore = regexp.MustCompile(`^STORE (\d+) .*SILENT`)

// silent forgets flags that the client changed without being told the outcome.
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
	return commands[r.IntN(len(commands))]
}

// TestManySessionsBelieveTheSame lets sessions change one mailbox at random.
// What each was told must always make sense, and in the end be the truth.
func TestManySessionsBelieveTheSame(t *testing.T) {
	for name, open := range openStores {
		t.Run(name, func(t *testing.T) {
			manySessions(t, func(s *Server) { s.Store = open(t); s.Limits.BadAfter = 1 << 30 })
		})
	}
}

func manySessions(t *testing.T, change func(*Server)) {
	s, addr := newServer(t, change)
	for range 10 {
		deliver(t, s.Store, plainMessage)
	}
	mirrors := make([]*mirror, 6)
	for i := range mirrors {
		mirrors[i] = &mirror{client: login(t, addr), flags: map[string]string{}}
		require.NoError(t, mirrors[i].do("SELECT INBOX"))
	}
	var wg sync.WaitGroup
	for i, m := range mirrors {
		r := rand.New(rand.NewPCG(uint64(i), uint64(time.Now().UnixNano())))
		wg.Go(func() {
			for range 150 {
				if err := m.do(m.random(r)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	truth := &mirror{client: login(t, addr), flags: map[string]string{}}
	require.NoError(t, truth.do("EXAMINE INBOX"))
	require.NoError(t, truth.do("UID FETCH 1:* (FLAGS)"))
	for _, m := range mirrors {
		require.NoError(t, m.do("NOOP"))
		require.Len(t, m.uids, len(truth.uids))
		for i, uid := range m.uids {
			if uid != "" {
				require.Equal(t, truth.uids[i], uid, "message %d", i+1)
			}
		}
		told := maps.Clone(m.flags)
		require.NoError(t, m.do("UID FETCH 1:* (FLAGS)"))
		require.Equal(t, truth.uids, m.uids)
		for _, uid := range m.uids {
			if flags, known := told[uid]; known {
				require.Equal(t, truth.flags[uid], flags, "flags of %s", uid)
			}
		}
	}
}
