package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// sample is a message that nobody here wrote.
type sample struct {
	name    string
	content []byte
}

// goMessageSamples are the messages in go-message's tests: the string
// literals there that look like one. The module cache always has them.
func goMessageSamples(t testing.TB) []sample {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/emersion/go-message").Output()
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "*_test.go"))
	require.NoError(t, err)
	more, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "*", "*_test.go"))
	require.NoError(t, err)
	var samples []sample
	for _, file := range append(files, more...) {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			if text, ok := stringValue(n); ok && looksLikeMessage(text) {
				samples = append(samples, sample{fmt.Sprintf("%s:%d", filepath.Base(file), n.Pos()), []byte(text)})
				return false
			}
			return true
		})
	}
	return samples
}

// stringValue returns the value of a string literal or of a sum of them.
func stringValue(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(n.Value)
		return s, err == nil && n.Kind == token.STRING
	case *ast.BinaryExpr:
		left, ok := stringValue(n.X)
		right, also := stringValue(n.Y)
		return left + right, ok && also
	}
	return "", false
}

var fieldStart = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*: `)

func looksLikeMessage(s string) bool {
	return fieldStart.MatchString(s) && (strings.Contains(s, "\n\n") || strings.Contains(s, "\r\n\r\n"))
}

// pythonSamples are the messages of the email package's tests in a Python
// distribution, the system's one first.
func pythonSamples(t testing.TB) []sample {
	t.Helper()
	dirs, _ := filepath.Glob("/usr/lib/python3*/test/test_email/data")
	if python, err := exec.LookPath("python3"); err == nil {
		out, _ := exec.Command(python, "-c", "import test, os; print(os.path.dirname(test.__file__))").Output()
		dirs = append(dirs, filepath.Join(strings.TrimSpace(string(out)), "test_email", "data"))
	}
	for _, dir := range dirs {
		files, _ := filepath.Glob(filepath.Join(dir, "msg_*.txt"))
		var samples []sample
		for _, f := range files {
			content, err := os.ReadFile(f)
			require.NoError(t, err)
			samples = append(samples, sample{filepath.Base(f), content})
		}
		if len(samples) > 0 {
			return samples
		}
	}
	return nil
}

// withCRLF returns the sample as a mail client sends it.
func (s sample) withCRLF() sample {
	lf := bytes.ReplaceAll(s.content, []byte("\r\n"), []byte("\n"))
	content := bytes.ReplaceAll(lf, []byte("\n"), []byte("\r\n"))
	if !bytes.HasSuffix(content, []byte("\r\n")) {
		content = append(content, "\r\n"...)
	}
	return sample{s.name + " with CRLF", content}
}

// hasBareLineEnding reports a CR or LF that is not part of a CRLF, which SMTP
// must refuse; it must also end in CRLF to be sent at all.
func (s sample) hasBareLineEnding() bool {
	rest := bytes.ReplaceAll(s.content, []byte("\r\n"), nil)
	return bytes.ContainsAny(rest, "\r\n")
}

func TestRealMessagesComeBackAsTheyWereSent(t *testing.T) {
	samples := goMessageSamples(t)
	require.Greater(t, len(samples), 10, "the messages of go-message's tests")
	python := pythonSamples(t)
	if len(python) == 0 {
		if os.Getenv("POSTHOUSE_REQUIRE") == "all" {
			realtest.Missing(t, "the test messages of a Python distribution")
		}
		t.Log("no Python test messages here: go-message's alone")
	}
	samples = append(samples, python...)
	n := startNode(t, "")
	var sent, appended []sample
	for _, original := range samples {
		for _, s := range []sample{original, original.withCRLF()} {
			if s.hasBareLineEnding() {
				n.requireRefusal(s)
				appended = append(appended, s)
			} else if bytes.HasSuffix(s.content, []byte("\r\n")) {
				n.sendSample(s)
				sent = append(sent, s, s) // by SMTP and by LMTP
			}
		}
	}
	require.NotEmpty(t, sent)
	require.NotEmpty(t, appended)
	n.requireDelivered(sent)
	n.requireAppended(appended)
	t.Logf("%d deliveries and %d appended messages compared", len(sent), len(appended))
}

func (n *testNode) sendSample(s sample) {
	n.t.Helper()
	for service, hello := range map[string]string{"SMTP": "EHLO", "LMTP": "LHLO"} {
		c := n.dial(service)
		c.mailFrom(hello, "someone@example.org", n.user)
		require.Regexp(n.t, "^250 ", c.data(s.content), "%s by %s", s.name, service)
		c.Close()
	}
}

func (n *testNode) requireRefusal(s sample) {
	n.t.Helper()
	for service, hello := range map[string]string{"SMTP": "EHLO", "LMTP": "LHLO"} {
		c := n.dial(service)
		c.mailFrom(hello, "someone@example.org", n.user)
		content := s.content
		if !bytes.HasSuffix(content, []byte("\r\n")) {
			content = append(bytes.Clone(content), "\r\n"...)
		}
		require.Regexp(n.t, `^550 5\.6\.11 .*(bare|CR|LF)`, c.data(content), "%s by %s", s.name, service)
		c.Close()
	}
}

var traceField = regexp.MustCompile(`^(?:(?:Return-Path|Delivered-To|Received): [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)+`)

// requireDelivered compares INBOX, by IMAP and by POP3, with what was sent.
func (n *testNode) requireDelivered(sent []sample) {
	n.t.Helper()
	byIMAP, byPOP3 := bodies(n.t, n.imapClient(), "INBOX"), n.pop3All()
	require.Len(n.t, byIMAP, len(sent))
	require.Len(n.t, byPOP3, len(sent))
	for i, s := range sent {
		trace := byIMAP[i][:max(0, len(byIMAP[i])-len(s.content))]
		require.Equal(n.t, string(s.content), string(byIMAP[i][len(trace):]), s.name)
		require.Equal(n.t, string(trace), traceField.FindString(string(trace)), "%s: only trace fields were added", s.name)
		require.Equal(n.t, string(byIMAP[i]), string(byPOP3[i]), "%s: POP3 gives what IMAP gives", s.name)
	}
}

// requireAppended stores messages by APPEND and compares what comes back.
func (n *testNode) requireAppended(samples []sample) {
	n.t.Helper()
	c := n.imapClient()
	require.NoError(n.t, c.Create("Odd", nil).Wait())
	for _, s := range samples {
		a := c.Append("Odd", int64(len(s.content)), nil)
		_, err := a.Write(s.content)
		require.NoError(n.t, err)
		require.NoError(n.t, a.Close())
		_, err = a.Wait()
		require.NoError(n.t, err, s.name)
	}
	got := bodies(n.t, c, "Odd")
	require.Len(n.t, got, len(samples))
	for i, s := range samples {
		require.Equal(n.t, string(s.content), string(got[i]), s.name)
	}
}
