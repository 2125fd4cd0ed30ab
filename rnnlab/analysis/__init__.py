"""From finished jobs to answers: tables, paired effects, sentences, pictures, a report. Reads jobs; knows no torch."""
