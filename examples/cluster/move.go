package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
)

// move gives a user another back end, with all that he has: what takes long is
// copied while he works, the rest while his logins wait (doc/cluster.md).
func (c *cluster) move(ctx context.Context, who user, to int) error {
	name, _, _ := strings.Cut(who.name, "@")
	person, from := url.PathEscape(who.name), 3-to
	for _, ask := range []func() error{
		func() error { return c.carry(ctx, who, to, "pack", "-bodies", who.name) },
		func() error { return c.control(ctx, http.MethodPut, "/delays/"+person, `{"for": "30s"}`) },
		func() error { return c.control(ctx, http.MethodPost, "/kick", fmt.Sprintf(`{"user": %q}`, who.name)) },
		func() error { _, err := c.atBack(ctx, from, "freeze", who.name); return err },
		func() error { return errors.Join(putOff(c.front(1), "1025", who), putOff(c.back(from), "2525", who)) }, // as mail that comes now
		func() error {
			arrived, err := c.atBack(ctx, to, "unpack", "-arrived", who.name)
			if err != nil {
				return err
			}
			return c.carry(ctx, who, to, "pack", "-since", strings.TrimSpace(arrived), who.name)
		},
		func() error {
			return c.administer(ctx, "ldapmodify", fmt.Sprintf("dn: uid=%s,ou=people,dc=example,dc=test\nchangetype: modify\nreplace: mailHost\nmailHost: %s\n", name, c.back(to)))
		},
		func() error { return c.control(ctx, http.MethodDelete, "/cache/"+person, "") },
		func() error { return c.control(ctx, http.MethodDelete, "/delays/"+person, "") },
		func() error { _, err := c.atBack(ctx, from, "drop", who.name); return err },
	} {
		if err := ask(); err != nil {
			return err
		}
	}
	return nil
}

// atBack asks a back end, as its operator does.
func (c *cluster) atBack(ctx context.Context, n int, args ...string) (string, error) {
	text, err := c.backCommand(ctx, n, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s at back end %d: %w: %s", args[0], n, err, text)
	}
	return string(text), err
}

func (c *cluster) backCommand(ctx context.Context, n int, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, filepath.Join(c.dir, "backend"), append([]string{"-data", filepath.Join(c.dir, fmt.Sprintf("backend%d", n))}, args...)...)
}

// carry packs at the other back end and unpacks at one: between machines it is
// ssh that stands on one side of the pipe.
func (c *cluster) carry(ctx context.Context, who user, to int, pack ...string) error {
	out, in := c.backCommand(ctx, 3-to, pack...), c.backCommand(ctx, to, "unpack", who.name)
	var failed, said bytes.Buffer // two, since both programs write at once
	archive, err := out.StdoutPipe()
	if err != nil {
		return err
	}
	out.Stderr, in.Stdin, in.Stdout, in.Stderr = &failed, archive, &said, &said
	if err := out.Start(); err != nil {
		return err
	}
	if err := errors.Join(in.Run(), out.Wait()); err != nil {
		return fmt.Errorf("moving %s: %w: %s%s", who.name, err, failed.Bytes(), said.Bytes())
	}
	return nil
}

// control asks all front ends for the same.
func (c *cluster) control(ctx context.Context, method, path, body string) error {
	for n := 1; n <= 2; n++ {
		r, err := http.NewRequestWithContext(ctx, method, "http://"+net.JoinHostPort(c.front(n), "1081")+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
		answer.Body.Close()
		if err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, text)
		}
	}
	return nil
}
