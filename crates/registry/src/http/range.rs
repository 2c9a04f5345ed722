//! Parts of a blob: the `Range` header of downloads (RFC 9110, section 14).

/// What to send of a content.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// First byte and number of bytes, at least one.
    Some {
        start: u64,
        length: u64,
    },
    /// Nothing of what was asked for exists.
    Unsatisfiable,
}

/// Reads a `Range` header for a content of this size. Several ranges at once, and what cannot be
/// read, get the whole, as the RFC allows.
pub(super) fn part_of(header: Option<&str>, size: u64) -> Part {
    let Some(range) = header.and_then(|text| text.strip_prefix("bytes=")) else {
        return Part::Whole;
    };
    let Some((first, last)) = range.trim().split_once('-') else {
        return Part::Whole;
    };
    let (start, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(start), Ok(last)) if start <= last => (start, last.saturating_add(1).min(size)),
        (Ok(start), Err(_)) if last.is_empty() => (start, size),
        (Err(_), Ok(count)) if first.is_empty() => (size.saturating_sub(count), size),
        _ => return Part::Whole,
    };
    if start >= end {
        return Part::Unsatisfiable;
    }
    Part::Some {
        start,
        length: end - start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let some = |start, length| Part::Some { start, length };
        let cases = [
            ("bytes=0-0", some(0, 1)),
            ("bytes=2-4", some(2, 3)),
            ("bytes=2-", some(2, 8)),
            ("bytes=-3", some(7, 3)),
            ("bytes=-30", some(0, 10)),
            ("bytes=9-99999999999999999", some(9, 1)),
            ("bytes=0-18446744073709551615", some(0, 10)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=10-11", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=4-2", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=x-y", Part::Whole),
            ("lines=1-2", Part::Whole),
            ("bytes=5", Part::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(part_of(Some(header), 10), expected, "{header}");
        }
        assert_eq!(part_of(None, 10), Part::Whole);
        assert_eq!(part_of(Some("bytes=0-"), 0), Part::Unsatisfiable);
    }
}
