package imap

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/local"
)

// TestAnswersAreThoseOfDovecot plays the dialogues of testdata/differential
// against this server and against Dovecot, each with a user of its own, and
// compares the answers (see heard.normal). What differs must stand in
// explained, and all that stands there must differ.
//
// A line of a dialogue is a command without its tag, for the first session,
// or after "2: " for a second one. Lines that begin with a small word are
//
//	needs CAPABILITY …             the dialogue is left out where this server has not all of them
//	append MAILBOX FILE ARGUMENTS  APPEND of a file of differential/messages
func TestAnswersAreThoseOfDovecot(t *testing.T) {
	realtest.Require(t, "dovecot")
	realtest.RequireRoot(t)
	paths, err := filepath.Glob("testdata/differential/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	dovecot, err := realtest.StartDovecot(t.Context(), len(paths))
	require.NoError(t, err)
	defer dovecot.Stop()
	ours := startForDifferences(t)
	theirs := fmt.Sprintf("127.0.0.1:%d", dovecot.IMAP)

	used := make([]bool, len(explained))
	played := map[string]bool{}
	for i, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		t.Run(name, func(t *testing.T) {
			user := fmt.Sprintf("user%d", i)
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			script := strings.Split(string(text), "\n")
			if missing := lacks(t, ours, user, script); len(missing) > 0 {
				t.Skipf("this server has no %v", missing)
			}
			played[name] = true
			a, b := playScript(t, ours, user, script), playScript(t, theirs, user, script)
			for k := range a {
				for _, d := range differences(a[k], b[k]) {
					if !explain(name, d, used) {
						t.Errorf("%s:%d: %s\n\tonly %s: %s", path, a[k].line, a[k].command, d.side, d.text)
					}
				}
			}
		})
	}
	for i, e := range explained {
		if !used[i] && (e.dialogue == "" || played[e.dialogue]) && !t.Failed() {
			t.Errorf("no longer different: %+v", e)
		}
	}
}

// startForDifferences starts a server whose users are like those of Dovecot.
func startForDifferences(t *testing.T) string {
	store, err := local.Open(t.TempDir(), local.Options{Mailboxes: []storage.Default{}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	s := quietServer(store)
	s.Auth = auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (auth.Identity, error) {
		if c.Password != "pw" {
			return auth.Identity{}, auth.ErrBadCredentials
		}
		return auth.Identity{User: c.User}, nil
	})
	return start(t, s)
}

// lacks returns what a script needs and the server at addr has not.
func lacks(t *testing.T, addr, user string, script []string) (missing []string) {
	p := &scriptPlayer{t: t, addr: addr, user: user}
	defer p.close()
	has := p.ask(p.session("1"), "CAPABILITY")
	for _, line := range script {
		needs, ok := strings.CutPrefix(line, "needs ")
		if !ok {
			continue
		}
		for _, c := range strings.Fields(needs) {
			if !slices.Contains(strings.Fields(string(has.untagged[0].raw)), c) {
				missing = append(missing, c)
			}
		}
	}
	return missing
}

// playScript plays a script and returns the answer of each command.
func playScript(t *testing.T, addr, user string, script []string) (answers []heard) {
	p := &scriptPlayer{t: t, addr: addr, user: user}
	defer p.close()
	for i, line := range script {
		if line == "" || line[0] == '#' || strings.HasPrefix(line, "needs ") {
			continue
		}
		session, command := "1", line
		if second, ok := strings.CutPrefix(line, "2: "); ok {
			session, command = "2", second
		}
		a := p.ask(p.session(session), command)
		a.line, a.command = i+1, line
		answers = append(answers, a)
	}
	return answers
}

// scriptPlayer plays a script against one server.
type scriptPlayer struct {
	t          *testing.T
	addr, user string
	sessions   map[string]*scriptSession
}

type scriptSession struct {
	net.Conn
	in   *bufio.Reader
	tags int
}

// session returns the session of a name, logged in.
func (p *scriptPlayer) session(name string) *scriptSession {
	p.t.Helper()
	if s := p.sessions[name]; s != nil {
		return s
	}
	conn, err := net.Dial("tcp", p.addr)
	require.NoError(p.t, err)
	require.NoError(p.t, conn.SetDeadline(time.Now().Add(time.Minute)))
	s := &scriptSession{Conn: conn, in: bufio.NewReader(conn)}
	if p.sessions == nil {
		p.sessions = map[string]*scriptSession{}
	}
	p.sessions[name] = s
	_, err = readResponse(s.in)
	require.NoError(p.t, err)
	require.Regexp(p.t, "^OK", p.ask(s, "LOGIN "+p.user+" pw").tagged)
	return s
}

func (p *scriptPlayer) close() {
	for _, s := range p.sessions {
		s.Close()
	}
}

// ask sends a command and reads its answer.
func (p *scriptPlayer) ask(s *scriptSession, command string) (a heard) {
	p.t.Helper()
	s.tags++
	tag := fmt.Sprintf("t%d", s.tags)
	_, err := io.WriteString(s, tag+" "+p.wire(command)+"\r\n")
	require.NoError(p.t, err)
	for {
		raw, err := readResponse(s.in)
		require.NoError(p.t, err, "%s: after %q", command, a.untagged)
		if rest, ok := bytes.CutPrefix(raw, []byte(tag+" ")); ok {
			a.tagged = string(rest)
			return a
		}
		a.untagged = append(a.untagged, response{raw: bytes.ReplaceAll(raw, []byte(tag), []byte("TAG"))})
	}
}

// wire is what a command of a script looks like on the connection.
func (p *scriptPlayer) wire(command string) string {
	rest, ok := strings.CutPrefix(command, "append ")
	if !ok {
		return command
	}
	mailbox, rest, _ := strings.Cut(rest, " ")
	file, arguments, _ := strings.Cut(rest, " ")
	if arguments != "" {
		arguments += " "
	}
	content, err := os.ReadFile(filepath.Join("testdata/differential/messages", file))
	require.NoError(p.t, err)
	content = bytes.ReplaceAll(content, []byte("\n"), []byte("\r\n"))
	return fmt.Sprintf("APPEND %s %s{%d+}\r\n%s", mailbox, arguments, len(content), content)
}
