"""Texts of several lengths in one tensor: padding is added and taken off, and no text changes."""

import torch

from versat2i.models.diffusion import Embeddings

SHORT, LONG = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [4.0], [5.0]])


def test_texts_of_their_own_lengths_come_back_as_they_were():
    found = Embeddings.of_lengths([SHORT, LONG])
    assert found.mask.tolist() == [[True, True, False], [True, True, True]]
    assert all(torch.equal(*pair) for pair in zip(found.rows(), (SHORT, LONG), strict=True))


def test_padding_after_the_longest_text_is_taken_off():
    found = Embeddings.of_lengths([SHORT, LONG])
    assert found[torch.tensor([0])].trimmed().hidden.tolist() == [[[1.0], [2.0]]]
    assert found.trimmed().hidden.shape == (2, 3, 1)


def test_padding_within_a_text_stays():
    """Krea 2 puts it before the last words of its template."""
    found = Embeddings(torch.ones(1, 4, 1), torch.tensor([[True, False, True, False]])).trimmed()
    assert found.mask.tolist() == [[True, False, True]]


def test_batches_of_other_lengths_are_put_together():
    found = Embeddings.concatenate([Embeddings.of_lengths([SHORT]), Embeddings.of_lengths([LONG])])
    assert found.hidden[..., 0].tolist() == [[1, 2, 0], [3, 4, 5]] and found.mask.sum(1).tolist() == [2, 3]


def test_an_empty_prompt_that_is_longer_or_shorter_takes_a_captions_place():
    short, long = Embeddings.of_lengths([SHORT]), Embeddings.of_lengths([LONG])
    rows = torch.tensor([True])
    assert [row.tolist() for row in short.replaced(rows, long).rows()] == [LONG.tolist()]
    assert [row.tolist() for row in long.replaced(rows, short).rows()] == [SHORT.tolist()]


def test_layers_of_a_token_stay_together():
    found = Embeddings(torch.arange(12.0).view(1, 2, 3, 2), torch.ones(1, 2).bool()).lengthened(4)
    assert found.hidden.shape == (1, 4, 3, 2) and found.mask.tolist() == [[True, True, False, False]]
