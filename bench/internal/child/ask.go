//go:build linux

package child

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Get asks for something small, with a key if it is not empty.
func Get(ctx context.Context, url, key string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	request.Close = true // the process may be another one next time
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// Metrics is what a sluice says of itself at one moment: the sum of the samples of each
// metric.
type Metrics map[string]float64

// Metrics asks for all of them.
func (s *Sluice) Metrics(ctx context.Context) (Metrics, error) {
	status, body, err := Get(ctx, s.Admin+"/metrics", "")
	if err != nil {
		return nil, fmt.Errorf("reading the metrics of %s: %w", s.Name, err)
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("reading the metrics of %s: status %d", s.Name, status)
	}
	sums := Metrics{}
	for line := range strings.Lines(string(body)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		// A label may hold a space, the value cannot.
		end := strings.LastIndexByte(line, ' ')
		family, _, _ := strings.Cut(line[:max(end, 0)], "{")
		value, err := strconv.ParseFloat(line[end+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("reading the metrics of %s: %w", s.Name, err)
		}
		sums[family] += value
	}
	return sums, nil
}

// Wait reports whether ctx lasted that long.
func Wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Quantile of a list of durations, in milliseconds; 0 of none.
func Quantile(of []time.Duration, q float64) float64 {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Clone(of)
	slices.Sort(sorted)
	at := min(int(float64(len(sorted))*q), len(sorted)-1)
	return float64(sorted[at].Microseconds()) / 1000
}
