//! The word that was probably meant.

/// The nearest of `known`, if it is near enough to be a slip of the hand.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let allowed = if word.chars().count() <= 4 { 1 } else { 2 };
    known
        .iter()
        .map(|&candidate| (distance(&word.to_lowercase().replace('-', "_"), &candidate.replace('-', "_")), candidate))
        .filter(|&(distance, _)| distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, dropped, changed or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    if from.len().abs_diff(to.len()) > 2 {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let change = above[j] + usize::from(a != b);
            let mut best = change.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_finds_the_word_that_was_meant() {
        let known = ["image", "command", "depends_on", "ports"];
        assert_eq!(nearest("iamge", &known), Some("image"));
        assert_eq!(nearest("depends-on", &known), Some("depends_on"));
        assert_eq!(nearest("port", &known), Some("ports"));
    }

    #[test]
    fn a_word_unlike_any_other_finds_nothing() {
        assert_eq!(nearest("wibble", &["image", "ports"]), None);
    }
}
