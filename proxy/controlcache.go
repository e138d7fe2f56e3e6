package proxy

import (
	"fmt"
	"net/http"

	"github.com/posthouse-mail/posthouse/mapping"
)

// cache finds what remembers the map.
func (c *Control) cache() (*mapping.Cache, error) {
	cache, ok := mapping.As[*mapping.Cache](c.Front.Mapper)
	if !ok {
		return nil, fmt.Errorf("cache of the map: %w", errNotHere)
	}
	return cache, nil
}

// shownEntry is an entry of the cache in JSON.
type shownEntry struct {
	User  string  `json:"user"`
	Route string  `json:"route,omitempty"`
	Age   float64 `json:"age"` // in seconds
	State string  `json:"state"`
}

func (c *Control) listCache(r *http.Request) (any, error) {
	cache, err := c.cache()
	if err != nil {
		return nil, err
	}
	name, wanted := "", r.URL.Query().Get("user")
	if wanted != "" {
		name, _ = mapping.NormalName(wanted)
	}
	all := []shownEntry{}
	for e := range cache.List() {
		if wanted != "" && e.User != name {
			continue
		}
		shown := shownEntry{User: e.User, Age: e.Age.Seconds(), State: e.State.String()}
		if e.Route.Host != "" {
			shown.Route = e.Route.String()
		}
		all = append(all, shown)
	}
	return all, nil
}

func (c *Control) refresh(r *http.Request) (any, error) {
	cache, err := c.cache()
	if err != nil {
		return nil, err
	}
	user := r.PathValue("user")
	route, err := cache.Refresh(r.Context(), user)
	if err != nil {
		return nil, err
	}
	return map[string]string{"user": user, "route": route.String()}, nil
}

func (c *Control) forget(r *http.Request) (any, error) {
	cache, err := c.cache()
	if err != nil {
		return nil, err
	}
	cache.Invalidate(r.PathValue("user"))
	return struct{}{}, nil
}

func (c *Control) forgetAll(*http.Request) (any, error) {
	cache, err := c.cache()
	if err != nil {
		return nil, err
	}
	cache.InvalidateAll()
	return struct{}{}, nil
}
