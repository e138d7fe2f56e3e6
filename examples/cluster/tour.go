package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

//go:embed tour.txt
var tourText string

// tour prints what to try, and waits until the user has had enough.
func tour(ctx context.Context, c *cluster, out io.Writer) error {
	fill := strings.NewReplacer(
		"$DIR", c.dir, "$LDAP", c.ldap(), "$BACKEND1", c.back(1), "$BACKEND2", c.back(2),
		"$FRONTEND1", c.front(1), "$FRONTEND2", c.front(2),
		"$PID_FRONTEND1", pid(c.fronts[0]), "$PID_FRONTEND2", pid(c.fronts[1]), "$PID_BACKEND1", pid(c.backs[0]),
	)
	fmt.Fprint(out, fill.Replace(tourText))
	<-ctx.Done()
	fmt.Fprintln(out, "stopping ...")
	return nil
}

func pid(p *process) string { return fmt.Sprint(p.cmd.Process.Pid) }

// dump prints the ends of all logs, after a step that failed.
func (c *cluster) dump(out io.Writer) {
	logs, _ := filepath.Glob(filepath.Join(c.dir, "*.log"))
	for _, file := range logs {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(out, "-- %s\n%s\n", filepath.Base(file), strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
}
