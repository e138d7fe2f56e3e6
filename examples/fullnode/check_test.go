package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// requireSound requires that a check finds nothing.
func (n *testNode) requireSound() {
	n.t.Helper()
	out := n.mustRun("", "check")
	require.True(n.t, strings.HasSuffix(out, ": 0 damages\nok\n"), out)
}

// spoil changes the first place in the files below the mail's directory where
// some octets stand.
func (n *testNode) spoil(below string, what []byte, change func(file []byte, at int)) {
	n.t.Helper()
	spoilt := false
	require.NoError(n.t, filepath.WalkDir(filepath.Join(n.dir, "data", "mail", below), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || spoilt {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		at := bytes.Index(content, what)
		if at < 0 {
			return nil
		}
		change(content, at)
		spoilt = true
		return os.WriteFile(path, content, 0o600)
	}))
	require.True(n.t, spoilt)
}

func TestCheckRepairsADamagedIndexFromTheLog(t *testing.T) {
	n := startNode(t, "")
	n.sendSample(sample{"one", []byte("Subject: one\r\n\r\nhello\r\n")})
	out, err := n.run("", "check", "-repair")
	require.Error(t, err)
	requireClearLine(t, out, "stop it first", "on line")
	n.stop()
	n.spoil("index", []byte(n.user), func(file []byte, at int) { file[at] ^= 1 })
	out, err = n.run("", "check")
	require.Error(t, err)
	require.Regexp(t, "(?m)^index: ", out)
	require.Regexp(t, "(?m)^damaged: ", out)
	out = n.mustRun("", "check", "-repair")
	require.Contains(t, out, "  repair: builds the index again from the log\n")
	require.Regexp(t, "(?m)^repaired [1-9][0-9]*, left 0\n.*: 0 damages\nok\n$", out)
	n.requireSound()
	again := startIn(t, n.dir)
	again.user, again.password = n.user, n.password
	require.Len(t, bodies(t, again.imapClient(), "INBOX"), 2)
}

func TestCheckDropsDamagedMessagesOnlyIfAsked(t *testing.T) {
	n := startNode(t, "")
	n.sendSample(sample{"one", []byte("Subject: one\r\n\r\nThis line will be damaged.\r\n")})
	n.sendSample(sample{"two", []byte("Subject: two\r\n\r\nThis one will not.\r\n")})
	n.stop()
	n.spoil("log", []byte("will be damaged"), func(file []byte, at int) { file[at] ^= 1 })
	out, err := n.run("", "check", "-repair")
	require.Error(t, err)
	require.Contains(t, out, "damaged-body: mailbox ")
	require.Contains(t, out, "log-body: ")
	out, err = n.run("", "check", "-repair", "-drop-damaged")
	t.Log(out, err)
	require.Contains(t, out, "repaired: damaged-body: ")
	again := startIn(t, n.dir)
	again.user, again.password = n.user, n.password
	require.Len(t, bodies(t, again.imapClient(), "INBOX"), 3)
}

func TestStatsWorkWhileTheNodeRunsAndWhileNot(t *testing.T) {
	n := startNode(t, "")
	n.sendSample(sample{"one", []byte("Subject: one\r\n\r\nhello\r\n")})
	for _, running := range []bool{true, false} {
		if !running {
			n.stop()
		}
		require.Regexp(t, "(?m)^"+n.user+" +5 +2 ", n.mustRun("", "stats"))
		var s nodeStats
		require.NoError(t, json.Unmarshal([]byte(n.mustRun("", "stats", "-json", "-top", "1")), &s))
		require.EqualValues(t, 2, s.Store.Messages)
		require.EqualValues(t, 2, s.Store.Bodies)
		require.Len(t, s.Store.Largest, 1)
		require.NotEmpty(t, s.Store.Segments)
	}
}
