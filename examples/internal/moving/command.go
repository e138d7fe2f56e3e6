package moving

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Usage describes the commands.
const Usage = `  freeze [USER]              refuse logins of an account, mail for it and all changes of it, for the
                             time being; without USER: list the accounts that are frozen
  thaw USER                  take them again
  pack [-bodies] [-since STATE] USER
                             write an account with all it has to standard output, for unpack at
                             another back end; -bodies: only the contents of messages, as the first
                             round while the user works; -since: without those that are there
                             already, as "unpack -arrived" says there (nothing is fine, too)
  unpack [-replace] USER     make the account of standard input, all of it at once; -replace: in the
                             place of one that has mail
  unpack -arrived USER       print how much has arrived, for pack -since
  unpack -forget USER        give up what has arrived of an account that is not here yet
  drop USER                  remove the mail of a frozen account, which is elsewhere now
`

// Command is a command with what it works on.
type Command struct {
	Node http.RoundTripper // reaches the handler
	In   io.Reader
	Out  io.Writer
}

// Is reports whether a word begins one of the commands.
func Is(word string) bool {
	return strings.Contains(" freeze thaw pack unpack drop ", " "+word+" ")
}

// Run runs the command of a command line that begins with one of the words.
func (c *Command) Run(ctx context.Context, args []string) error {
	method, path, in, err := c.request(args)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://node"+path, in)
	if err != nil {
		return err
	}
	res, err := c.Node.RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 400 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return errors.New(strings.TrimSpace(string(text)))
	}
	if _, err := io.Copy(c.Out, res.Body); err != nil {
		return err
	}
	for _, why := range []string{res.Trailer.Get(failed), res.Header.Get(http.TrailerPrefix + failed)} {
		if why != "" {
			return errors.New(why)
		}
	}
	return nil
}

// request is what a command line asks for.
func (c *Command) request(args []string) (method, path string, in io.Reader, err error) {
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	bodies, since := false, ""
	replace, arrived, forget := false, false, false
	switch args[0] {
	case "pack":
		flags.BoolVar(&bodies, "bodies", false, "")
		flags.StringVar(&since, "since", "", "")
	case "unpack":
		flags.BoolVar(&replace, "replace", false, "")
		flags.BoolVar(&arrived, "arrived", false, "")
		flags.BoolVar(&forget, "forget", false, "")
	case "freeze":
		if len(args) == 1 {
			return http.MethodGet, "/moving", nil, nil
		}
	}
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() != 1 || flags.Arg(0) == "" {
		return "", "", nil, fmt.Errorf("unknown use of %s; -help shows the commands", args[0])
	}
	of, query := "/moving/"+url.PathEscape(flags.Arg(0))+"/", make(url.Values)
	switch {
	case args[0] == "pack":
		if query.Set("since", since); bodies {
			query.Set("part", "bodies")
		}
		return http.MethodGet, of + "archive?" + query.Encode(), nil, nil
	case arrived:
		return http.MethodGet, of + "arrived", nil, nil
	case forget:
		return http.MethodDelete, of + "arrived", nil, nil
	case args[0] == "unpack":
		if replace {
			query.Set("replace", "1")
		}
		return http.MethodPost, of + "archive?" + query.Encode(), io.NopCloser(c.In), nil
	}
	return http.MethodPost, of + args[0], nil, nil
}
