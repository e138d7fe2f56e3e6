package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// readmeBlocks returns the fenced blocks of a language in the README.
func readmeBlocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// TestReadmeCommandsDoWhatTheReadmeSays runs the curl commands of the README
// as they stand there, but for the ports and the password of this node.
func TestReadmeCommandsDoWhatTheReadmeSays(t *testing.T) {
	realtest.Require(t, "curl")
	n := startNode(t, "")
	here := strings.NewReplacer(
		"127.0.0.1:2525", n.address["SMTP"], "127.0.0.1:2143", n.address["IMAP"],
		"127.0.0.1:2110", n.address["POP3"], "PASSWORD", n.password)
	var read int
	for _, block := range readmeBlocks(t, "sh") {
		if !strings.Contains(block, "curl") {
			continue
		}
		cmd := exec.Command("sh", "-e", "-c", here.Replace(block))
		cmd.Dir = t.TempDir()
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s\n%s", block, out)
		for _, scheme := range []string{"imap://", "pop3://"} {
			if strings.Contains(block, scheme) {
				read++
				require.Contains(t, string(out), "Subject: Hello", block)
				require.Contains(t, string(out), "My first mail.", block)
			}
		}
	}
	require.Equal(t, 2, read, "the README reads the mail by IMAP and by POP3")
}

// TestReadmeHasTwoSetUpCommands proves that the README asks for these two go
// commands and for no others.
func TestReadmeHasTwoSetUpCommands(t *testing.T) {
	commands := map[string]bool{}
	for _, block := range readmeBlocks(t, "sh") {
		for _, line := range strings.Split(block, "\n") {
			if strings.HasPrefix(line, "go ") {
				commands[line] = true
			}
		}
	}
	require.Equal(t, map[string]bool{"go run ./examples/fullnode": true, "go test ./...": true}, commands)
}
