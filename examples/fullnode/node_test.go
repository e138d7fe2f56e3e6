package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDefaultConfigListensWhereTheContractSays(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, defaultConfig().write(&out))
	for _, want := range []string{"2525", "2587", "2465", "2524", "2143", "2993", "2110", "2995", "2080"} {
		require.Contains(t, out.String(), `"127.0.0.1:`+want+`"`)
	}
	require.Equal(t, 9, strings.Count(out.String(), "127.0.0.1:"), "and nowhere else")
	file := filepath.Join(t.TempDir(), "config.toml")
	require.NoError(t, os.WriteFile(file, out.Bytes(), 0o600))
	again, err := loadConfig(file)
	require.NoError(t, err, "what config prints can be read")
	var second bytes.Buffer
	require.NoError(t, again.write(&second))
	require.Equal(t, out.String(), second.String())
}

func TestFirstStartPrintsTheAccountOnce(t *testing.T) {
	n := startNode(t, "")
	require.Equal(t, "alice@example.test", n.user)
	require.Equal(t, 1, strings.Count(n.printed, n.password))
	require.Contains(t, n.printed, "passwords without TLS: accepted from loopback only")
	require.Len(t, n.address, 9)
	n.stop()
	again := startIn(t, n.dir)
	require.Empty(t, again.password)
	again.user, again.password = n.user, n.password
	again.imapClient()
	again.stop()
}

func TestHealthAndMetrics(t *testing.T) {
	n := startNode(t, "")
	n.sendSample(sample{"hello", []byte("Subject: hello\r\n\r\nhello\r\n")})
	get := func(path string) string {
		res, err := http.Get("http://" + n.address["HTTP"] + path)
		require.NoError(t, err)
		defer res.Body.Close()
		require.Equal(t, http.StatusOK, res.StatusCode)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return string(body)
	}
	require.Equal(t, "ok\n", get("/health"))
	require.Contains(t, get("/metrics"), "posthouse_smtp_messages_total")
	require.Contains(t, get("/metrics"), "posthouse_log_syncs_total")
}

func TestPlaintextPasswordsCanBeForbidden(t *testing.T) {
	n := startNode(t, "plaintext_auth = \"never\"\n")
	c := n.dial("IMAP")
	c.line()
	c.send("a LOGIN " + n.user + " " + n.password + "\r\n")
	require.Regexp(t, "^a NO ", c.line())
	c = n.dial("POP3")
	c.line()
	c.send("USER " + n.user + "\r\n")
	require.Regexp(t, "^-ERR ", c.line())
}

func TestUserCommandsWorkWhileTheNodeRunsAndWhileNot(t *testing.T) {
	n := startNode(t, "")
	for _, running := range []bool{true, false} {
		if !running {
			n.stop()
		}
		n.mustRun("secret one\n", "user", "add", "bob")
		require.Equal(t, "alice@example.test\nbob@example.test\n", n.mustRun("", "user", "list"))
		_, err := n.run("again\n", "user", "add", "bob@example.test")
		require.Error(t, err, "the name is taken")
		n.mustRun("secret two\n", "user", "passwd", "bob@example.test")
		if running {
			n.imapAs("bob@example.test", "secret two")
		}
		n.mustRun("", "user", "remove", "bob@example.test")
		_, err = n.run("", "user", "remove", "bob@example.test")
		require.Error(t, err)
		require.Equal(t, "alice@example.test\n", n.mustRun("", "user", "list"))
	}
}

func TestChangedPasswordCountsAtOnce(t *testing.T) {
	n := startNode(t, "")
	n.imapClient() // now the success is remembered
	n.mustRun("changed\n", "user", "passwd", n.user)
	c := n.dial("POP3")
	c.line()
	c.send("USER " + n.user + "\r\nPASS " + n.password + "\r\n")
	require.Regexp(t, `^\+OK`, c.line())
	require.Regexp(t, "^-ERR", c.line())
	n.password = "changed"
	n.imapClient()
}

func TestCheckFindsNothingAfterUseAndDamageAfterDamage(t *testing.T) {
	n := startNode(t, "")
	marker := []byte("This line will be damaged on the disk.\r\n")
	n.sendSample(sample{"one", append([]byte("Subject: one\r\n\r\n"), marker...)})
	n.requireSound()
	n.stop()
	n.requireSound()
	damaged := 0
	require.NoError(t, filepath.WalkDir(filepath.Join(n.dir, "data", "mail"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if i := bytes.Index(content, marker); i >= 0 {
			content[i] ^= 1
			damaged++
			return os.WriteFile(path, content, 0o600)
		}
		return nil
	}))
	require.NotZero(t, damaged)
	out, err := n.run("", "check")
	require.Error(t, err)
	require.Contains(t, out, "damaged: ")
	require.Greater(t, strings.Count(out, "\n"), 1, "a line for the damage and one for the sum")
}

func TestTroubleGivesOneClearLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := taken.Addr().String()
	for name, c := range map[string]struct{ config, want string }{
		"port in use":     {strings.Replace(freePorts, "[imap]\nlisten = [\"127.0.0.1:0\"]", "[imap]\nlisten = [\""+port+"\"]", 1), port},
		"unknown key":     {"colour = \"red\"\n" + freePorts, "colour"},
		"not TOML":        {"hostname = \n", "line 1"},
		"bad value":       {"plaintext_auth = \"always\"\n" + freePorts, "plaintext_auth"},
		"missing cert":    {freePorts + "[tls]\ncertificate = \"/nowhere/cert.pem\"\nkey = \"/nowhere/key.pem\"\n", "/nowhere/cert.pem"},
		"half of the TLS": {freePorts + "[tls]\nkey = \"/nowhere/key.pem\"\n", "tls.certificate"},
	} {
		n := &testNode{t: t, dir: t.TempDir()}
		require.NoError(t, os.WriteFile(filepath.Join(n.dir, "config.toml"), []byte(c.config), 0o600))
		out, err := n.run("", "serve")
		require.Error(t, err, name)
		requireClearLine(t, out, c.want, name)
	}
}

// requireClearLine proves that a failed command says what is wrong in one line.
func requireClearLine(t *testing.T, out, want, name string) {
	t.Helper()
	var lines []string
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		if strings.HasPrefix(line, "fullnode: ") {
			lines = append(lines, line)
		}
	}
	require.Len(t, lines, 1, "%s: %s", name, out)
	require.Contains(t, lines[0], want, name)
	require.NotContains(t, out, "goroutine ", name)
}

func TestUnreadableDataDirectoryGivesOneClearLine(t *testing.T) {
	dir := t.TempDir()
	n := &testNode{t: t, dir: dir}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml"), []byte(freePorts), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data"), []byte("a file"), 0o600))
	out, err := n.run("", "serve")
	require.Error(t, err)
	requireClearLine(t, out, "data directory", "a file in its place")
	require.NoError(t, os.Remove(filepath.Join(dir, "data")))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data", "directory.jsonl"), 0o700))
	out, err = n.run("", "serve")
	require.Error(t, err)
	requireClearLine(t, out, "directory.jsonl", "a directory in place of a file")
}

func TestTwoNodesDoNotShareADataDirectory(t *testing.T) {
	n := startNode(t, "")
	out, err := n.run("", "serve")
	require.Error(t, err)
	requireClearLine(t, out, "in use", "second node")
}

func TestHangupReadsTheCertificateAgain(t *testing.T) {
	n := startNode(t, "")
	n.imapClient()
	require.NoError(t, n.cmd.Process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool { return strings.Contains(n.log.String(), "reloaded") }, waitLong, waitTick)
	n.imapClient()
}

func TestTermDrainsAndSaysGoodbye(t *testing.T) {
	n := startNode(t, "")
	imap, pop, smtp := n.dial("IMAP"), n.dial("POP3"), n.dial("SMTP")
	for _, c := range []*lineConn{imap, pop, smtp} {
		c.line()
	}
	require.NoError(t, n.cmd.Process.Signal(syscall.SIGTERM))
	require.Regexp(t, `^\* BYE `, imap.line())
	require.Regexp(t, "^421 ", smtp.line())
	_, err := pop.r.ReadByte()
	if err == nil {
		_ = pop.r.UnreadByte()
		require.Regexp(t, "^-ERR ", pop.line())
	}
	require.NoError(t, n.wait(), n.log)
}

func TestRunIsMainWithItsSurroundings(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), []string{"config"}, strings.NewReader(""), &out))
	require.Contains(t, out.String(), "127.0.0.1:2143")
	require.Error(t, run(context.Background(), []string{"-data", t.TempDir(), "nonsense"}, strings.NewReader(""), io.Discard))
	require.Error(t, run(context.Background(), []string{"-data", "/nowhere/at/all", "user", "list"}, strings.NewReader(""), io.Discard))
}
