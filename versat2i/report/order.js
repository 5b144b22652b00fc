"use strict";

/* Which images the browser shows, and in which order. It knows no page, so that it can be run by itself.
   `data` is what prompts.js holds; an item is [prompt, k, scores[variant][metric], answers[variant]]. */
const order = {
  /* The gain of a variant over base on one image, above zero where it is better; null where one has no score. */
  gain(data, item, variant, metric) {
    const base = data.variants.indexOf("base");
    const [mine, other] = [item[2][variant][metric], item[2][base][metric]];
    if (typeof mine !== "number" || typeof other !== "number") return null;
    return data.metrics[metric].lower ? other - mine : mine - other;
  },

  /* The mean over the aspects of the gain in standard deviations of base; null where no aspect has one. */
  together(data, item, variant) {
    const gains = data.metrics.flatMap(({ unit, selects }, metric) => {
      const gain = selects && unit > 0 ? order.gain(data, item, variant, metric) : null;
      return gain === null ? [] : [gain / unit];
    });
    return gains.length ? gains.reduce((sum, gain) => sum + gain, 0) / gains.length : null;
  },

  /* What is sorted by: `metric` is a number, or "all". */
  value(data, item, variant, metric) {
    return metric === "all" ? order.together(data, item, variant) : order.gain(data, item, variant, metric);
  },

  /* Whether an item belongs to the category and source ("" is any) and its prompt has the words. */
  fits(data, item, { category, source, words }) {
    const [, text, itsCategory, itsSource] = data.prompts[item[0]];
    const inText = text.toLowerCase().includes(words.trim().toLowerCase());
    return (!category || category === itsCategory) && (!source || source === itsSource) && inText;
  },

  /* The numbers of the items to show: best or worst gain first, or as given; those without a gain last. */
  list(data, choice) {
    const sign = choice.variant < 0 ? 0 : { best: -1, worst: 1, given: 0 }[choice.order]; // -1: base is alone
    const found = [];
    data.items.forEach((item, number) => {
      if (order.fits(data, item, choice)) {
        found.push([number, sign && order.value(data, item, choice.variant, choice.metric)]);
      }
    });
    found.sort(([a, x], [b, y]) => (x === null) - (y === null) || sign * (x - y) || a - b);
    return found.map(([number]) => number);
  },
};
if (typeof module !== "undefined") module.exports = order;
