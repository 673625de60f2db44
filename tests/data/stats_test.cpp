// Figures, [expect], and what `data show` prints.
#include "data/stats.h"
#include "support.h"

using namespace oncekit;
using namespace oncekit::test;

namespace {

Corpus sample() {
  return load("mind", {{"path", (fs::path(ONCEKIT_TREE) / "datasets" / "mind" / "sample").string()}, {"split", std::string("files")}});
}

std::map<std::string, double> figures(const Corpus& corpus) {
  std::map<std::string, double> map;
  for (const Figure& figure : corpus_figures(corpus)) CHECK(map.emplace(figure.name, figure.value).second);
  return map;
}

}  // namespace

TEST_CASE("figures of the sample, counted by hand", "[unit]") {
  const std::map<std::string, double> f = figures(sample());
  CHECK(f.at("items") == 8);
  CHECK(f.at("users") == 9);
  CHECK(f.at("empty_titles") == 1);
  CHECK(f.at("title_words_max") == 7);
  CHECK(f.at("train_impressions") == 8);
  CHECK(f.at("train_candidates") == 3 + 3 + 2 + 2 + 3 + 2 + 283 + 1);
  CHECK(f.at("train_candidates_max") == 283);
  CHECK(f.at("train_clicks") == 7);
  CHECK(f.at("train_one_class") == 2);
  CHECK(f.at("train_empty") == 2);
  CHECK(f.at("train_timeless") == 1);
  CHECK(f.at("dev_impressions") == 5);
  CHECK(f.at("dev_new") == 4);
  CHECK(f.at("new_users") == 4);    // U1, U3, U6, U9
  CHECK(f.at("warm_users") == 1);   // U5
  CHECK(f.at("empty_users") == 3);  // U2, U4, U8; U7 has no impression left
  CHECK(f.at("dev_clicks") == 5);
  CHECK(f.at("dev_clicks_seen") == Approx(3.0 / 5));  // N7, N3, N6 were clicked in training, N8-A (twice) was not
  CHECK(f.at("test_impressions") == 0);
}

TEST_CASE("[expect] is compared figure by figure", "[unit]") {
  const std::vector<Figure> f = corpus_figures(sample());
  Problems none;
  check_expected(f, {{"items", 8}, {"data/users", 9}, {"paper/auc", 0.7}, {"dev_clicks_seen", 0.6}}, none);
  CHECK(none.empty());
  Problems three;
  check_expected(f, {{"items", 9}, {"itms", 8}, {"dev_clicks_seen", 0.61}}, three);
  REQUIRE(three.size() == 3);
  CHECK(std::string(three.items()[1].what()).find("items is 8, expected 9") != std::string::npos);
  CHECK(std::string(three.items()[2].what()).find("did you mean 'items'?") != std::string::npos);
}

TEST_CASE("an item, a user, an impression to read", "[unit]") {
  const Corpus corpus = sample();
  CHECK_THAT(show_item(corpus, "N3"), Catch::Contains("Pâtissières et boulangers") && Catch::Contains("dev   shown 1 times, clicked 1 times"));
  CHECK_THAT(show_user(corpus, "U1"), Catch::Contains("train 2 impressions: 1 2") && Catch::Contains("history: 4 clicks, 4 before truncation"));
  CHECK_THAT(show_impression(corpus, "dev", "4"), Catch::Contains("* N8-A") && Catch::Contains("user U3"));
  CHECK_THROWS_WITH(show_item(corpus, "N33"), Catch::Contains("there is no item 'N33'") && Catch::Contains("did you mean 'N3'?"));
  CHECK_THROWS_WITH(show_impression(corpus, "valid", "4"), Catch::Contains("use train, dev or test"));
}
