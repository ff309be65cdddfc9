// Expands schedules as tests/tools/hours does, from the same lines to the same lines, by reading a clock at every moment. It shares nothing
// with the service or with clocks.py: the clock is Go's package time, which reads the same files.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

const lastMinute = 23*60 + 59

// A moment is a minute, or a second where a minute is not one on the clock too. It lasts until the next one.
type moment struct {
	instant int64
	date    int // 20240310
	weekday time.Weekday
	second  int // of the day
}

type item struct{ start, end int } // seconds of the day

type site struct {
	words   string // the zone's file and the instants from and to
	moments []moment
	to      int64
}

func read(zone *time.Location, instant int64) (date int, weekday time.Weekday, second int) {
	clock := time.Unix(instant, 0).In(zone)
	year, month, day := clock.Date()
	hour, minute, sec := clock.Clock()
	return year*10000 + int(month)*100 + day, clock.Weekday(), hour*3600 + minute*60 + sec
}

func newSite(file, from, to string) *site {
	bytes, err := os.ReadFile(file)
	check(err)
	zone, err := time.LoadLocationFromTZData(file, bytes)
	check(err)
	s := &site{words: file + " " + from + " " + to, to: number(to)}
	for instant := number(from); instant < s.to; instant += 60 {
		_, _, first := read(zone, instant)
		_, _, last := read(zone, instant+59)
		step := int64(60)
		if first%60 != 0 || last != first+59 {
			step = 1
		}
		for i := int64(0); i < 60 && instant+i < s.to; i += step {
			date, weekday, second := read(zone, instant+i)
			s.moments = append(s.moments, moment{instant + i, date, weekday, second})
		}
	}
	return s
}

// START-END, in minutes.
func itemOf(text string) item {
	ends := strings.SplitN(text, "-", 2)
	start, end := number(ends[0]), number(ends[1])
	if end == lastMinute && start < end {
		end++
	}
	return item{int(start) * 60, int(end) * 60}
}

type schedule struct {
	windows   [7][]item
	overrides map[int][]item
}

func newSchedule(windows, overrides string) *schedule {
	s := &schedule{overrides: map[int][]item{}}
	for _, word := range list(windows) {
		days, times, _ := strings.Cut(word, ":")
		for day := 0; day < 7; day++ {
			if number(days)>>day&1 == 1 {
				weekday := (day + 1) % 7 // theirs begins on Monday, Go's on Sunday
				s.windows[weekday] = append(s.windows[weekday], itemOf(times))
			}
		}
	}
	for _, word := range list(overrides) {
		text, times, _ := strings.Cut(word, ":")
		date := int(number(strings.ReplaceAll(text, "-", "")))
		s.overrides[date] = append(s.overrides[date], itemOf(times))
	}
	return s
}

func (s *schedule) itemsOf(date int, weekday time.Weekday) []item {
	if items, found := s.overrides[date]; found {
		return items
	}
	return s.windows[weekday]
}

func isOpen(items []item, second int) bool {
	for _, item := range items {
		if item.start <= second && second < item.end {
			return true
		}
	}
	return false
}

func (s *site) write(out *bufio.Writer, plan *schedule) {
	var items []item
	date, wasOpen := 0, false
	for i := range s.moments {
		now := &s.moments[i]
		if now.date != date {
			date, items = now.date, plan.itemsOf(now.date, now.weekday)
		}
		open := isOpen(items, now.second)
		if open && !wasOpen {
			fmt.Fprintf(out, "%d-", now.instant)
		}
		if !open && wasOpen {
			fmt.Fprintf(out, "%d ", now.instant)
		}
		wasOpen = open
	}
	if wasOpen {
		fmt.Fprintf(out, "%d ", s.to)
	}
	fmt.Fprintln(out)
}

func list(text string) []string {
	if text == "-" {
		return nil
	}
	return strings.Split(text, ",")
}

func number(text string) int64 {
	value, err := strconv.ParseInt(text, 10, 64)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "clocks:", err)
		os.Exit(1)
	}
}

func main() {
	in, out := bufio.NewScanner(os.Stdin), bufio.NewWriter(os.Stdout)
	defer out.Flush()
	last := &site{}
	for in.Scan() {
		words := strings.Fields(in.Text())
		if strings.Join(words[:3], " ") != last.words {
			last = newSite(words[0], words[1], words[2])
		}
		last.write(out, newSchedule(words[3], words[4]))
	}
	check(in.Err())
}
