package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// move gives a user another back end. (His mail would be copied while his logins
// wait: doc/cluster.md.)
func (c *cluster) move(ctx context.Context, who user, to int) error {
	name, _, _ := strings.Cut(who.name, "@")
	person := url.PathEscape(who.name)
	for _, ask := range []func() error{
		func() error { return c.control(ctx, http.MethodPut, "/delays/"+person, `{"for": "30s"}`) },
		func() error { return c.control(ctx, http.MethodPost, "/kick", fmt.Sprintf(`{"user": %q}`, who.name)) },
		func() error {
			return c.administer(ctx, "ldapmodify", fmt.Sprintf("dn: uid=%s,ou=people,dc=example,dc=test\nchangetype: modify\nreplace: mailHost\nmailHost: %s\n", name, c.back(to)))
		},
		func() error { return c.control(ctx, http.MethodDelete, "/cache/"+person, "") },
		func() error { return c.control(ctx, http.MethodDelete, "/delays/"+person, "") },
	} {
		if err := ask(); err != nil {
			return err
		}
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
