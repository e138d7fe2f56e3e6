package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// kills returns how often to kill a node in the middle of a load; the
// environment can ask for more.
func kills(t *testing.T) int {
	if s := os.Getenv("POSTHOUSE_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		require.NoError(t, err)
		return n
	}
	return 50
}

// TestKilledNodeLosesNothingAcknowledged kills the same node again and again
// in the middle of a load over SMTP and LMTP, each time after another while,
// and proves that every message it had acknowledged is there once and whole,
// and that every message that is there is whole.
func TestKilledNodeLosesNothingAcknowledged(t *testing.T) {
	n := startNode(t, "")
	dir, user, password := n.dir, n.user, n.password
	acknowledged := map[string]bool{}
	rounds := kills(t)
	for round := range rounds {
		l := &load{acknowledged: acknowledged, round: round}
		l.start(n, 4)
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond) // when the power goes is nobody's choice
		n.kill()
		l.wait()
		n = startIn(t, dir)
		n.user, n.password = user, password
	}
	require.Greater(t, len(acknowledged), rounds)
	seen := map[string]int{}
	for _, body := range bodies(t, n.imapClient(), "INBOX") {
		seen[checkLoadMessage(t, body)]++
	}
	for id := range acknowledged {
		require.Equal(t, 1, seen[id], "message %s was acknowledged", id)
	}
	n.requireSound()
	t.Logf("%d kills, %d acknowledged, %d there", rounds, len(acknowledged), len(seen))
}

// load sends numbered messages until the node is gone.
type load struct {
	round        int
	mu           sync.Mutex
	acknowledged map[string]bool
	done         sync.WaitGroup
}

func (l *load) start(n *testNode, senders int) {
	for i := range senders {
		service, hello := "SMTP", "EHLO"
		if i%2 == 1 {
			service, hello = "LMTP", "LHLO"
		}
		l.done.Go(func() { l.send(n.address[service], hello, n.user, i) })
	}
}

func (l *load) wait() { l.done.Wait() }

// send ends with the first error: the node was killed.
func (l *load) send(address, hello, to string, sender int) {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer nc.Close()
	r := bufio.NewReader(nc)
	ask := func(s, want string) bool {
		if _, err := io.WriteString(nc, s); err != nil {
			return false
		}
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return false
			}
			if line[3] != '-' {
				return strings.HasPrefix(line, want)
			}
		}
	}
	if !ask("", "220") || !ask(hello+" load.example.org\r\n", "250") {
		return
	}
	for i := 0; ; i++ {
		id := fmt.Sprintf("%d-%d-%d", l.round, sender, i)
		if !ask("MAIL FROM:<a@example.org>\r\n", "250") || !ask("RCPT TO:<"+to+">\r\n", "250") ||
			!ask("DATA\r\n", "354") || !ask(loadMessage(id)+".\r\n", "250") {
			return
		}
		l.mu.Lock()
		l.acknowledged[id] = true
		l.mu.Unlock()
	}
}

// loadMessage is a message whose content follows from its id; some are large.
func loadMessage(id string) string {
	lines := 20
	if strings.HasSuffix(id, "7") {
		lines = 2000
	}
	return "Subject: " + id + "\r\n\r\n" + strings.Repeat("message "+id+"\r\n", lines)
}

// checkLoadMessage proves that a stored message is whole and returns its id.
func checkLoadMessage(t testing.TB, body []byte) string {
	t.Helper()
	body = body[len(traceField.Find(body)):]
	id, _, ok := strings.Cut(strings.TrimPrefix(string(body), "Subject: "), "\r\n")
	require.True(t, ok)
	require.Equal(t, loadMessage(id), string(body))
	return id
}

// TestFullDiskIsATemporaryAnswer fills a small file system and proves that
// the node answers with a temporary error, keeps what it had acknowledged,
// and takes mail again once there is room.
func TestFullDiskIsATemporaryAnswer(t *testing.T) {
	realtest.RequireRoot(t)
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	require.NoError(t, os.Mkdir(data, 0o700))
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", data).CombinedOutput(); err != nil {
		realtest.Missing(t, fmt.Sprintf("the right to mount a small file system (%s)", bytes.TrimSpace(out)))
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", data).Run() })
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml"), []byte(freePorts), 0o600))
	n := startIn(t, dir)
	content := []byte("Subject: big\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 30_000))
	accepted := 0
	for accepted < 100 {
		c := n.dial("SMTP")
		c.mailFrom("EHLO", "a@example.org", n.user)
		answer := c.data(content)
		c.Close()
		if !strings.HasPrefix(answer, "250 ") {
			require.Regexp(t, "^4[0-9][0-9] 4", answer)
			break
		}
		accepted++
	}
	require.NotZero(t, accepted)
	require.Less(t, accepted, 100)
	there := bodies(t, n.imapClient(), "INBOX")
	require.Len(t, there, accepted)
	for _, body := range there {
		require.True(t, bytes.HasSuffix(body, content))
	}
	require.NoError(t, exec.Command("mount", "-o", "remount,size=400m", data).Run())
	n.kill()
	again := startIn(t, dir)
	again.user, again.password = n.user, n.password
	again.sendSample(sample{"after", content})
	require.Len(t, bodies(t, again.imapClient(), "INBOX"), accepted+2)
}
